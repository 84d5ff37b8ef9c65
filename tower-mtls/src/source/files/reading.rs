//! All files at one time: blocking, without a clock and without a word to the log.

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
};

use zeroize::Zeroizing;

use super::Paths;
use crate::{
    Credentials, RevocationLists, Trust, TrustBundle,
    credentials::read,
    error::{CredentialsError, Failure, Source, SourceError},
    source::Snapshot,
};

/// What the files held, or why one of them could not be read.
pub(super) struct Reading(Result<Contents, SourceError>);

/// Whether two readings found the same. It tells nothing of what they found.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Mark {
    Contents { own: u64, trust: u64 },
    Failure(Failure, String),
}

struct Contents {
    credentials: Option<(Text, Text)>,
    bundles: Vec<Text>,
    revocation_lists: Vec<Text>,
}

/// A file, which may hold a key.
struct Text {
    source: Source,
    bytes: Zeroizing<Vec<u8>>,
}

/// The trust of the last snapshot, which is kept while its files do not change.
pub(super) struct LastTrust {
    mark: u64,
    trust: Option<Trust>,
}

impl Reading {
    pub(super) fn of(paths: &Paths) -> Self {
        Self(Contents::of(paths))
    }

    pub(super) fn mark(&self, hasher: &RandomState) -> Mark {
        match &self.0 {
            Ok(contents) => Mark::Contents {
                own: contents.own(hasher),
                trust: contents.trust(hasher),
            },
            Err(error) => Mark::Failure(error.failure(), error.to_string()),
        }
    }

    /// The snapshot that the files make.
    pub(super) fn snapshot(
        self,
        paths: &Paths,
        hasher: &RandomState,
        last: &mut Option<LastTrust>,
    ) -> Result<Snapshot, SourceError> {
        let contents = self.0?;
        let credentials = contents.credentials.as_ref().map(|(chain, key)| {
            Credentials::parse(&chain.bytes, &chain.source, &key.bytes, &key.source)
        });
        let credentials = credentials.transpose()?;

        let mark = contents.trust(hasher);
        let trust = match last {
            Some(last) if last.mark == mark => last.trust.clone(),
            _ => {
                let trust = contents.read_trust(paths)?;
                *last = Some(LastTrust {
                    mark,
                    trust: trust.clone(),
                });
                trust
            }
        };
        Ok(Snapshot::of(credentials, trust))
    }
}

impl Contents {
    fn of(paths: &Paths) -> Result<Self, SourceError> {
        let credentials = paths.credentials.as_ref();
        let credentials = credentials
            .map(|(chain, key)| Ok::<_, CredentialsError>((Text::of(chain)?, Text::of(key)?)));
        let bundles = paths.bundles.iter().map(|(_, path)| Text::of(path));
        let revocation_lists = paths.revocation_lists.iter().map(|path| Text::of(path));
        Ok(Self {
            credentials: credentials.transpose()?,
            bundles: bundles.collect::<Result<_, _>>()?,
            revocation_lists: revocation_lists.collect::<Result<_, _>>()?,
        })
    }

    fn own(&self, hasher: &RandomState) -> u64 {
        let texts = self.credentials.iter();
        hash(texts.flat_map(|(chain, key)| [chain, key]), hasher)
    }

    fn trust(&self, hasher: &RandomState) -> u64 {
        hash(self.bundles.iter().chain(&self.revocation_lists), hasher)
    }

    fn read_trust(&self, paths: &Paths) -> Result<Option<Trust>, SourceError> {
        let mut trust = None::<Trust>;
        for ((domain, _), text) in paths.bundles.iter().zip(&self.bundles) {
            let mut bundle = TrustBundle::load(&text.bytes, &text.source)?;
            if let Some(domain) = domain {
                bundle = bundle.with_trust_domain(domain.clone());
            }
            trust = Some(match trust {
                None => Trust::from(bundle),
                Some(trust) => trust.federate(bundle).map_err(|error| {
                    SourceError::new(Failure::Malformed, error.to_string()).with_source(error)
                })?,
            });
        }
        let mut lists = None::<RevocationLists>;
        for text in &self.revocation_lists {
            let more = RevocationLists::load_either(&text.bytes, &text.source)?;
            lists = Some(match lists {
                None => more,
                Some(lists) => lists.and(&more),
            });
        }
        Ok(match (trust, lists) {
            (Some(trust), Some(lists)) => {
                let trust = trust.with_revocation_lists(lists);
                Some(trust.unknown_status(paths.unknown_status))
            }
            (trust, _) => trust,
        })
    }
}

impl Text {
    fn of(path: &Path) -> Result<Self, CredentialsError> {
        let (bytes, source) = read(path)?;
        Ok(Self { source, bytes })
    }
}

fn hash<'a>(texts: impl Iterator<Item = &'a Text>, hasher: &RandomState) -> u64 {
    let texts = texts.map(|text| text.bytes.as_slice());
    hasher.hash_one(texts.collect::<Vec<_>>())
}
