//! Texts as numbers.

use std::collections::HashMap;
use std::sync::Arc;

use super::keys::{Dimension, name};
use super::{Changes, Meta, SearchFault, View};
use crate::ports::Order;

/// The names of each dimension, in memory: some thousands. Numbers count from 1.
#[derive(Debug, Default, Clone)]
pub(in crate::store) struct Dictionary {
    generation: u64,
    dimensions: [Names; Dimension::NAMED.len()],
}

#[derive(Debug, Default, Clone)]
struct Names {
    names: Vec<Arc<str>>,
    codes: HashMap<Arc<str>, u32>,
}

/// Names that are read at once.
const READ: usize = 5000;

impl Dictionary {
    /// Reads what `meta` says there is and is not here yet.
    ///
    /// # Errors
    /// Also where a name is missing.
    pub(in crate::store) fn follow(&mut self, view: &dyn View, meta: &Meta) -> Result<(), SearchFault> {
        if self.generation != meta.generation {
            *self = Self { generation: meta.generation, ..Self::default() };
        }
        for (dimension, count) in Dimension::NAMED.into_iter().zip(meta.names) {
            let known = &mut self.dimensions[dimension as usize];
            while known.len() < count {
                let range = (name(dimension, known.len() + 1), name(dimension, count + 1));
                let read = view.ranges(&[range], READ, Order::OldestFirst)?.pop().unwrap_or_default();
                if read.is_empty() {
                    return Err(SearchFault::damaged("a name is missing"));
                }
                for (key, text) in read {
                    let text =
                        String::from_utf8(text).map_err(|_| SearchFault::damaged("a name is no text"))?;
                    if key != name(dimension, known.add(&text)) {
                        return Err(SearchFault::damaged("a name is missing"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether this is the dictionary of `meta`, and not behind.
    pub(in crate::store) fn knows(&self, meta: &Meta) -> bool {
        let long_enough = |(names, count): (&Names, &u32)| names.len() >= *count;
        self.generation == meta.generation && self.dimensions.iter().zip(&meta.names).all(long_enough)
    }

    /// The number of `text`, which is added where it is new.
    pub(super) fn code(
        &mut self,
        dimension: Dimension,
        text: &str,
        meta: &mut Meta,
        changes: &mut Changes,
    ) -> u32 {
        let names = &mut self.dimensions[dimension as usize];
        if let Some(code) = names.codes.get(text) {
            return *code;
        }
        let code = names.add(text);
        meta.names[dimension as usize] = code;
        changes.small.insert(name(dimension, code), Some(text.as_bytes().to_vec()));
        code
    }

    /// The number of `text`, where it has one.
    pub(super) fn find(&self, dimension: Dimension, text: &str) -> Option<u32> {
        self.dimensions[dimension as usize].codes.get(text).copied()
    }

    /// The numbers, in their order, of the names for which `wanted` holds.
    pub(super) fn matching(&self, dimension: Dimension, wanted: impl Fn(&str) -> bool) -> Vec<u32> {
        let names = (1..).zip(&self.dimensions[dimension as usize].names);
        names.filter(|(_, name)| wanted(name)).map(|(code, _)| code).collect()
    }

    /// The name of a number; empty for 0.
    pub(super) fn name(&self, dimension: Dimension, code: u32) -> &str {
        let place = (code as usize).checked_sub(1);
        place.and_then(|place| self.dimensions[dimension as usize].names.get(place)).map_or("", |name| name)
    }
}

impl Names {
    fn len(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, text: &str) -> u32 {
        let text: Arc<str> = text.into();
        self.names.push(text.clone());
        let code = self.len();
        self.codes.insert(text, code);
        code
    }
}

/// The name under which a key's version is known.
pub(super) fn key_name(key: &str, version: Option<u32>) -> String {
    format!("{key}\n{}", version.map(|version| version.to_string()).unwrap_or_default())
}

/// The key and the version of [`key_name`].
pub(super) fn key_of(name: &str) -> (&str, Option<u32>) {
    let (key, version) = name.split_once('\n').unwrap_or((name, ""));
    (key, version.parse().ok())
}
