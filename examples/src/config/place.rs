//! Where in the file a setting stands that a layer has refused.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The value of `key`, as `prices.timeout`, in the table that is at `table`. What the file leaves out
/// is at the table that it would be in.
pub(super) fn of_key(text: &str, table: Range<usize>, key: &str) -> Range<usize> {
    let Ok(file) = DeTable::parse(text) else {
        return table;
    };
    let mut place = table.clone();
    let mut inner = find(file.get_ref(), &table);
    for name in key.split('.') {
        let Some(value) = inner.and_then(|table| table.get(name)) else {
            break;
        };
        place = value.span();
        inner = value.get_ref().as_table();
    }
    place
}

fn find<'a, 'i>(table: &'a DeTable<'i>, at: &Range<usize>) -> Option<&'a DeTable<'i>> {
    let in_value = |value: &'a toml::Spanned<DeValue<'i>>| match value.get_ref() {
        DeValue::Table(table) if value.span() == *at => Some(table),
        DeValue::Table(table) => find(table, at),
        DeValue::Array(tables) => tables.iter().find_map(|table| match table.get_ref() {
            DeValue::Table(inner) => find(inner, at),
            _ => None,
        }),
        _ => None,
    };
    table.values().find_map(in_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[cluster]]\nname = \"a\"\n[cluster.retry]\nburst = 10\n\
                        prices = { timeout = 20 }\n[[cluster]]\nretry = { burst = 3 }\n";

    #[test]
    fn a_setting_is_where_its_value_is_or_else_its_table() {
        let header = TEXT.find("[cluster.retry]").unwrap();
        let table = header..header + "[cluster.retry]".len();
        let inline = TEXT.find("{ burst").unwrap();
        let inline = inline..inline + "{ burst = 3 }".len();
        for (table, key, expected) in [
            (&table, "burst", "10"),
            (&table, "prices.timeout", "20"),
            (&table, "prices.hedge", "{ timeout = 20 }"),
            (&table, "reserve", "[cluster.retry]"),
            (&inline, "burst", "3"),
            (&inline, "prices.timeout", "{ burst = 3 }"),
        ] {
            let place = of_key(TEXT, table.clone(), key);
            assert_eq!(&TEXT[place], expected, "{key}");
        }
        assert_eq!(of_key("no = ", 0..2, "no"), 0..2);
    }
}
