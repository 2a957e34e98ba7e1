//! Primitives of one kind, by name.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use dashmap::{DashMap, Entry};

use crate::{error::AlreadyRegistered, name::Name};

/// A longer name is stored shortened: what a request can put into a name must not be able to fill the memory.
const LONGEST: usize = 256;

/// What is kept of a name that is too long, before the hash of the whole.
const KEPT: usize = LONGEST - 17;

/// `name`, or, if it is too long, its beginning and its hash.
pub(super) fn bounded(name: &str) -> std::borrow::Cow<'_, str> {
    if name.len() <= LONGEST {
        return name.into();
    }
    let mut end = KEPT;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    format!("{}~{:016x}", &name[..end], hasher.finish()).into()
}

/// A map that only its owners fill: looking up never creates.
#[derive(Debug)]
pub(super) struct Named<T: ?Sized>(DashMap<Name, Held<T>>, &'static str);

#[derive(Debug)]
struct Held<T: ?Sized> {
    value: Arc<T>,
    /// Declared or registered; never removed.
    lasting: bool,
    /// Handles of dynamic names that go through it.
    users: usize,
}

impl<T: ?Sized> Named<T> {
    /// An empty map of this kind of thing.
    pub(super) fn of(kind: &'static str) -> Self {
        Self(DashMap::new(), kind)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<T>> {
        self.0.get(&*bounded(name)).map(|held| held.value.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Everything, sorted by name.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        let all: Vec<_> =
            self.0.iter().map(|entry| (entry.key().clone(), entry.value().value.clone())).collect();
        in_order(&all)
    }

    /// Adds something of the user's own, unless the name is taken.
    pub(super) fn register(&self, name: &str, value: Arc<T>) -> Result<(), AlreadyRegistered> {
        match self.0.entry(bounded(name).as_ref().into()) {
            Entry::Occupied(taken) => Err(AlreadyRegistered::new(self.1, taken.key().clone())),
            Entry::Vacant(vacant) => {
                vacant.insert(Held { value, lasting: true, users: 0 });
                Ok(())
            }
        }
    }

    /// Whether anybody but handles of dynamic names holds the entry, which would otherwise go with the last of them.
    pub(super) fn is_shared(&self, name: &Name) -> bool {
        self.0.get(name).is_some_and(|held| !held.lasting && Arc::strong_count(&held.value) > 1 + held.users)
    }

    /// Whether the entry stays, whoever uses it.
    pub(super) fn is_lasting(&self, name: &Name) -> bool {
        self.0.get(name).is_some_and(|held| held.lasting)
    }

    /// What `look` finds in everything, sorted by name. Nothing is held but what is looked at: what somebody holds cannot
    /// be dropped to make room.
    pub(super) fn look<R>(&self, look: impl Fn(&T) -> R) -> Vec<R> {
        let all: Vec<_> =
            self.0.iter().map(|entry| (entry.key().clone(), Arc::downgrade(&entry.value().value))).collect();
        in_order(&all).iter().filter_map(|value| Some(look(&*value.upgrade()?))).collect()
    }

    /// Takes back one [`join`](Self::join), after the handles that held the entry are gone.
    pub(super) fn leave(&self, name: &Name) {
        if let Some(mut held) = self.0.get_mut(name) {
            held.users = held.users.saturating_sub(1);
        }
        self.0.remove_if(name, |_, held| held.is_forgotten());
    }

    /// Removes what outlived its users because someone held it when they left.
    pub(super) fn sweep(&self) {
        self.0.retain(|_, held| !held.is_forgotten());
    }
}

/// What is named, sorted by name.
pub(super) fn in_order<T: Clone>(named: &[(Name, T)]) -> Vec<T> {
    let names = named.iter().map(|(name, _)| name).collect();
    order(names).iter().map(|place| named[*place].1.clone()).collect()
}

/// The places of the names when they are sorted. Not generic: of all that a compiler made of this crate, sorting each kind
/// of thing by itself was a tenth.
fn order(names: Vec<&Name>) -> Vec<usize> {
    let mut places: Vec<_> = names.into_iter().enumerate().collect();
    places.sort_unstable_by_key(|(_, name)| *name);
    places.iter().map(|(place, _)| *place).collect()
}

impl<T> Named<T> {
    /// The entry of a declared name, made if it is not there yet.
    pub(super) fn declare(&self, name: &Name, make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.entry(name.clone()).or_insert_with(|| Held::new(Arc::new(make())));
        held.lasting = true;
        held.value.clone()
    }

    /// The entry of a dynamic name, made if it is not there yet, with one more user.
    pub(super) fn join(&self, name: &Name, make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.entry(name.clone()).or_insert_with(|| Held::new(Arc::new(make())));
        held.users += 1;
        held.value.clone()
    }
}

impl<T: ?Sized> Held<T> {
    fn new(value: Arc<T>) -> Self {
        Self { value, lasting: false, users: 0 }
    }

    /// Nobody can reach it but by looking it up, and nobody can do that while the map's shard is locked.
    fn is_forgotten(&self) -> bool {
        !self.lasting && self.users == 0 && Arc::strong_count(&self.value) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_up_never_creates() {
        let named = Named::<u8>::of("number");
        assert_eq!((named.get("api"), named.all().len()), (None, 0));
    }

    #[test]
    fn an_entry_goes_with_its_last_user_unless_someone_holds_it() {
        let (named, name) = (Named::of("number"), Name::from_static("a"));
        let (first, second) = (named.join(&name, || 1), named.join(&name, || 2));
        drop(first);
        named.leave(&name);
        assert_eq!(named.get("a").as_deref(), Some(&1));
        assert!(!named.is_shared(&name));
        let held = named.get("a");
        assert!(named.is_shared(&name));
        drop(second);
        named.leave(&name);
        assert!(named.get("a").is_some());
        drop(held);
        named.sweep();
        assert_eq!(named.get("a"), None);
    }

    #[test]
    fn a_long_name_is_shortened_and_still_found() {
        let (long, longer) = ("é".repeat(5_000), "é".repeat(5_001));
        let named = Named::of("number");
        named.register(&long, Arc::new(1)).unwrap();
        let taken = named.register(&long, Arc::new(2)).unwrap_err();
        assert!(taken.to_string().starts_with("number `éé"));
        assert_eq!((named.get(&long).as_deref(), named.get(&longer)), (Some(&1), None));
        assert!(bounded(&long).len() <= LONGEST);
    }
}
