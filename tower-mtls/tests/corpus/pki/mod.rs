//! An authority that writes whatever it is told to, byte by byte.

pub mod certificate;
pub mod der;
pub mod key;
pub mod list;
