//! An HTTP answer out of bytes: the status, then the values of the fields that the layers read.

use http::{HeaderValue, Response, StatusCode};

pub fn answer(bytes: &[u8], fields: &[&'static str]) -> Option<Response<()>> {
    let (head, values) = bytes.split_first_chunk::<2>()?;
    let status = StatusCode::from_u16(100 + u16::from_be_bytes(*head) % 900).ok()?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    for (name, value) in fields.iter().zip(values.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            response.headers_mut().append(*name, value);
        }
    }
    Some(response)
}
