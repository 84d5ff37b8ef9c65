//! The codes of gRPC.

use std::fmt;

use ::http::HeaderValue;

use crate::kind::Kind;

/// One of the 17 codes of gRPC.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrpcCode(u8);

impl GrpcCode {
    /// 0: it worked.
    pub const OK: Self = Self(0);
    /// 1: it was given up, as a rule by the caller.
    pub const CANCELLED: Self = Self(1);
    /// 2: an error of which nothing else is known.
    pub const UNKNOWN: Self = Self(2);
    /// 3: the caller asked for something that can never be had.
    pub const INVALID_ARGUMENT: Self = Self(3);
    /// 4: it took too long.
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    /// 5: what was asked for is not there.
    pub const NOT_FOUND: Self = Self(5);
    /// 6: what was to be made is there.
    pub const ALREADY_EXISTS: Self = Self(6);
    /// 7: the caller may not do it.
    pub const PERMISSION_DENIED: Self = Self(7);
    /// 8: the server has too much to do, or the caller has used up its share.
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// 9: what it is to be done to is not in a state for it.
    pub const FAILED_PRECONDITION: Self = Self(9);
    /// 10: something else came in between.
    pub const ABORTED: Self = Self(10);
    /// 11: it goes beyond an end.
    pub const OUT_OF_RANGE: Self = Self(11);
    /// 12: the server does not have it.
    pub const UNIMPLEMENTED: Self = Self(12);
    /// 13: something is broken.
    pub const INTERNAL: Self = Self(13);
    /// 14: the server is not there, or not able to.
    pub const UNAVAILABLE: Self = Self(14);
    /// 15: data is lost for good.
    pub const DATA_LOSS: Self = Self(15);
    /// 16: nobody knows who the caller is.
    pub const UNAUTHENTICATED: Self = Self(16);

    /// The code with this number, from 0 to 16.
    pub fn from_number(number: u8) -> Option<Self> {
        (usize::from(number) < NAMES.len()).then_some(Self(number))
    }

    /// The code with this name, as `"UNAVAILABLE"`.
    pub fn from_name(name: &str) -> Option<Self> {
        let number = NAMES.iter().position(|known| *known == name)?;
        u8::try_from(number).ok().map(Self)
    }

    /// Its name, as `"UNAVAILABLE"`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Its number, from 0 to 16.
    pub fn number(self) -> u8 {
        self.0
    }

    /// What `grpc-status` says: decimal digits, and no others.
    pub(super) fn read(status: &HeaderValue) -> Option<Self> {
        match status.as_bytes() {
            [digit @ b'0'..=b'9'] => Some(Self(digit - b'0')),
            [b'1', digit @ b'0'..=b'6'] => Some(Self(10 + digit - b'0')),
            _ => None,
        }
    }

    pub(super) fn is_ok(self) -> bool {
        self == Self::OK
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::RESOURCE_EXHAUSTED => Kind::Throttled,
            Self::DEADLINE_EXCEEDED => Kind::Timeout,
            _ => Kind::Transient,
        }
    }

    /// Whether the server has not taken the call, or not done with it in time.
    pub(super) fn is_refusal(self) -> bool {
        [
            Self::UNAVAILABLE,
            Self::RESOURCE_EXHAUSTED,
            Self::DEADLINE_EXCEEDED,
        ]
        .contains(&self)
    }

    /// Whether the server has done its work.
    pub(super) fn blames_the_caller(self) -> bool {
        matches!(
            self,
            Self::OK
                | Self::INVALID_ARGUMENT
                | Self::NOT_FOUND
                | Self::ALREADY_EXISTS
                | Self::PERMISSION_DENIED
                | Self::FAILED_PRECONDITION
                | Self::OUT_OF_RANGE
                | Self::UNAUTHENTICATED
        )
    }
}

impl fmt::Display for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes(u32);

impl Codes {
    pub(super) fn of(codes: impl IntoIterator<Item = GrpcCode>) -> Self {
        let bits = codes.into_iter().map(|code| 1 << code.0);
        Self(bits.fold(0, |set, bit: u32| set | bit))
    }

    pub(super) fn contains(self, code: GrpcCode) -> bool {
        self.0 & (1 << code.0) != 0
    }
}

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
