//! As much of DER as it takes to cut an element out of a certificate, and to put it together again.

/// One element: its tag, its content, and both with the length between.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// The first element of `input` and what follows it; `None` where it is not DER.
pub(crate) fn first(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = input.split_first()?;
    if tag & LONG_TAG == LONG_TAG {
        return None;
    }
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => long_length(rest.split_at_checked(usize::from(length & 0x7f))?)?,
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let whole = input.get(..input.len() - rest.len())?;
    let element = Element {
        tag,
        content,
        whole,
    };
    Some((element, rest))
}

/// The content of the one element that `input` is, of this tag.
pub(crate) fn only(tag: u8, input: &[u8]) -> Option<&[u8]> {
    match first(input)? {
        (element, []) if element.tag == tag => Some(element.content),
        _ => None,
    }
}

/// All elements of a content.
pub(crate) fn all(mut input: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !input.is_empty() {
        let (element, rest) = first(input)?;
        elements.push(element);
        input = rest;
    }
    Some(elements)
}

/// An element of this tag around `content`.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match length {
        [] => element.push(0),
        [short @ 0..=0x7f] => element.push(*short),
        // At most eight bytes: a length is a `usize`.
        long => {
            element.push(0x80 | long.len() as u8);
            element.extend(long);
        }
    }
    element.extend(content);
    element
}

/// A length of several bytes, which must need them.
fn long_length<'a>((length, rest): (&[u8], &'a [u8])) -> Option<(usize, &'a [u8])> {
    let value = length
        .iter()
        .fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
    let needed = match length {
        [only] => *only > 0x7f,
        [first, ..] => *first != 0,
        [] => false,
    };
    needed.then_some((value, rest))
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;
const LONG_TAG: u8 = 0x1f;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_one_form() {
        for (bytes, ok) in [
            (&[0x30, 0][..], true),
            (&[0x30, 1], false),
            (&[0x30, 0x80, 0, 0], false),
            (&[0x30, 0x81, 1, 7], false),
            (&[0x30, 0x82, 0, 200], false),
            (&[0x1f, 0], false),
            (&[0x30, 0x85, 1, 0, 0, 0, 0], false),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], false),
            (&[], false),
        ] {
            assert_eq!(first(bytes).is_some(), ok, "{bytes:x?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(length in 0_usize..70_000, byte in any::<u8>()) {
            let content = vec![byte; length];
            let written = write(SEQUENCE, &content);
            prop_assert_eq!(only(SEQUENCE, &written), Some(&content[..]));
            prop_assert_eq!(only(OCTET_STRING, &written), None);
        }

        #[test]
        fn what_is_read_is_written_alike(bytes in any::<Vec<u8>>()) {
            if let Some((element, rest)) = first(&bytes) {
                prop_assert_eq!(&write(element.tag, element.content), element.whole);
                prop_assert_eq!(element.whole.len() + rest.len(), bytes.len());
            }
            let _ = all(&bytes);
        }
    }
}
