//! The corpus as a table in the documentation, which must be the one that is made here.

use std::{fmt::Write as _, fs, path::Path};

use crate::cases::{self, Case, Mode, Role, Verdict};

#[test]
fn the_table_in_the_documentation_is_this_corpus() {
    let documentation = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    // A packed crate comes without it.
    if !documentation.exists() {
        return;
    }
    let file = documentation.join("evaluation/mtls.md");
    let text = fs::read_to_string(&file).expect("the page");
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("a mark where the table begins");
    let (_, after) = rest.split_once(END).expect("a mark where it ends");
    let made = format!("{before}{BEGIN}{}{END}{after}", table(&cases::all()));
    if made != text {
        let proposal = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mtls.md");
        fs::write(&proposal, made).expect("the proposal");
        panic!(
            "{} is out of date: copy {}",
            file.display(),
            proposal.display()
        );
    }
}

#[test]
fn no_two_cases_are_alike() {
    let mut names = Vec::new();
    for case in cases::all() {
        for mode in case.modes {
            names.push((case.name, mode == &Mode::Plain));
        }
    }
    let cases = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases, "two cases of one name in the same mode");
    assert!(cases >= 240, "{cases}");
}

fn table(cases: &[Case]) -> String {
    let verdicts = |case: &Case| case.modes.len() * case.roles.len();
    let mut table = format!(
        "\n{} chains (made once for each mode), {} verdicts.\n\n",
        cases.iter().map(|case| case.modes.len()).sum::<usize>(),
        cases.iter().map(verdicts).sum::<usize>(),
    );
    table += "| presented | mode | by | verdict | alert | rule |\n| --- | --- | --- | --- | --- | --- |\n";
    for case in cases {
        let mode = match case.modes {
            [Mode::Spiffe] => "SPIFFE",
            [Mode::Plain] => "plain",
            _ => "both",
        };
        let role = match case.roles {
            [Role::Server] => "server",
            [Role::Client] => "client",
            _ => "both",
        };
        let (verdict, alert) = match case.verdict {
            Verdict::Accept => ("accepted".to_owned(), ""),
            Verdict::Refuse(reason, alert, _) => (format!("`{reason}`"), alert_name(alert)),
        };
        let Case { name, rule, .. } = case;
        writeln!(
            table,
            "| {name} | {mode} | {role} | {verdict} | {alert} | {rule} |"
        )
        .expect("memory");
    }
    table
}

fn alert_name(alert: u8) -> &'static str {
    match alert {
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        48 => "unknown_ca",
        49 => "access_denied",
        51 => "decrypt_error",
        _ => "?",
    }
}

const BEGIN: &str = "<!-- The table is made by the test `corpus` of tower-mtls. -->\n";
const END: &str = "<!-- The end of the table. -->\n";
