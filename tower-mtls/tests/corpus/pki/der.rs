//! DER as it is written, right or wrong.

/// An element of this tag around `content`.
pub fn element(tag: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut element = vec![tag];
    match content.len() {
        length @ 0..=0x7f => element.push(length as u8),
        length => {
            let bytes = length.to_be_bytes();
            let bytes = &bytes[length.leading_zeros() as usize / 8..];
            element.push(0x80 | bytes.len() as u8);
            element.extend(bytes);
        }
    }
    element.extend(content);
    element
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, parts.concat())
}

pub fn octets(content: impl AsRef<[u8]>) -> Vec<u8> {
    element(0x04, content)
}

pub fn integer(bytes: &[u8]) -> Vec<u8> {
    element(0x02, bytes)
}

pub fn bits(content: &[u8]) -> Vec<u8> {
    element(0x03, [&[0], content].concat())
}

/// A named bit list: the numbers of the bits that are set.
pub fn named_bits(set: &[u8]) -> Vec<u8> {
    let Some(last) = set.iter().max() else {
        return element(0x03, [0]);
    };
    let mut bytes = vec![0; usize::from(last / 8) + 2];
    bytes[0] = 7 - last % 8;
    for bit in set {
        bytes[usize::from(bit / 8) + 1] |= 0x80 >> (bit % 8);
    }
    element(0x03, bytes)
}

pub fn boolean(value: bool) -> Vec<u8> {
    element(0x01, [if value { 0xff } else { 0 }])
}

pub fn identifier(arcs: &[u32]) -> Vec<u8> {
    let mut bytes = vec![(arcs[0] * 40 + arcs[1]) as u8];
    for arc in &arcs[2..] {
        let groups = (0..5).rev().map(|group| (arc >> (7 * group)) & 0x7f);
        let groups = groups.skip_while(|group| *group == 0).collect::<Vec<_>>();
        match groups.split_last() {
            Some((last, more)) => {
                bytes.extend(more.iter().map(|group| 0x80 | *group as u8));
                bytes.push(*last as u8);
            }
            None => bytes.push(0),
        }
    }
    element(0x06, bytes)
}

/// A name with one common name; empty for an empty text.
pub fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return sequence(&[]);
    }
    let attribute = sequence(&[&identifier(&[2, 5, 4, 3]), &element(0x0c, common_name)]);
    sequence(&[&element(0x31, attribute)])
}

/// UTCTime until 2049, GeneralizedTime from 2050 on, as RFC 5280 wants it.
pub fn time(seconds: i64) -> Vec<u8> {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let rest = format!(
        "{month:02}{day:02}{:02}{:02}{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    match (1950..2050).contains(&year) {
        true => element(0x17, format!("{:02}{rest}", year % 100)),
        false => element(0x18, format!("{year:04}{rest}")),
    }
}

/// The elements in a sequence, which is well-formed.
pub fn parts(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut rest = &whole[head(whole).0..];
    while !rest.is_empty() {
        let (before, length) = head(rest);
        let (part, behind) = rest.split_at(before + length);
        parts.push(part.to_vec());
        rest = behind;
    }
    parts
}

/// How long the tag and the length of an element are, and the length.
fn head(element: &[u8]) -> (usize, usize) {
    match usize::from(element[1]) {
        short @ 0..=0x7f => (2, short),
        long => {
            let bytes = &element[2..2 + (long & 0x7f)];
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (2 + bytes.len(), length)
        }
    }
}

/// Days since 1970 to year, month and day in the Gregorian calendar (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
