//! Names that calls make up: `circuit = "host-{host}"`.
//!
//! Whatever a request can put into a name, the number of entries is bounded. Each new name first makes room: names
//! nobody has used for a while go, and at the bound also those merely idle at this moment. If none can go, the new
//! name shares one entry with all others of its template. Both are counted.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::{DashMap, Entry};

use super::{
    Inner,
    hash::Keyed,
    named::bounded,
    site::{Handles, SiteStats},
};
use crate::{
    clock::Instant,
    events::{CircuitState, Event},
    name::Name,
    settings::Declaration,
    sync::Mutex,
};

/// Names are kept at least this long without a call.
const IDLE: Duration = Duration::from_secs(600);

/// Names a registry holds unless told otherwise.
const MOST: usize = 10_000;

/// Names looked at together by those who look at all.
const FEW: usize = 64;

/// Names looked at, at most, when one is added: what a call pays for the eviction of others.
const STEPS: usize = 8;

thread_local! {
    /// The handles that this thread used last, unless a call has them at this moment: most threads call the same name many
    /// times in a row, and so find it without the map's lock and without a change to a count that all threads share.
    ///
    /// A name that is kept here is not evicted. There is one a thread, until the thread calls another name or looks for
    /// those that are idle.
    static LAST: Cell<Option<Arc<Handles>>> = const { Cell::new(None) };
}

/// The handles this thread used last if they are those of this name; others are let go.
fn take_last(site: &SiteEntry, key: &[u8]) -> Option<Arc<Handles>> {
    let last = LAST.try_with(Cell::take).ok().flatten()?;
    (Arc::ptr_eq(&last.stats, &site.stats) && last.key.as_deref() == Some(key)).then_some(last)
}

/// Keeps the handles of a dynamic name for the thread's next call, which may be after the end of their registry: not where
/// that would keep connections open or threads alive.
pub(super) fn keep(handles: Arc<Handles>) {
    if handles.key.is_some() && handles.pool.is_none() && handles.workers.is_none() {
        // What they take the place of is dropped outside: that may run code of the user's.
        drop(LAST.try_with(|last| last.replace(Some(handles))));
    }
}

/// One annotated function, in one registry.
#[derive(Debug)]
pub(crate) struct SiteEntry {
    pub(crate) declaration: &'static Declaration,
    pub(crate) stats: Arc<SiteStats>,
    /// The handles of a site without templates.
    pub(super) fixed: OnceLock<Arc<Handles>>,
    /// The handles of each name a template was filled in to.
    names: DashMap<Key, Arc<Handles>, Keyed>,
    /// The handles all names share for which there was no room.
    shared: OnceLock<Arc<Handles>>,
}

/// A name as bytes: to look one up it need not be shown to be text first.
pub(crate) type Key = Arc<[u8]>;

/// The names a call fills in, in the order circuit, bulkhead, limiter; `None` where the attribute has no template.
pub(crate) type Filled<'a> = [Option<fmt::Arguments<'a>>; 3];

/// How many dynamic names there are, and what became of those for which there was no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DynamicNames {
    /// Names in use.
    pub names: usize,
    /// How many there may be.
    pub most: usize,
    /// Names dropped because nobody used them.
    pub evicted: u64,
    /// Calls that shared their template's entry because there was no room.
    pub shared: u64,
}

/// The bound on the dynamic names of a registry.
#[derive(Debug)]
pub(super) struct Bound {
    most: AtomicUsize,
    live: AtomicUsize,
    evicted: AtomicU64,
    shared: AtomicU64,
    /// All names, those next looked at first.
    order: Mutex<VecDeque<(Arc<SiteEntry>, Key)>>,
}

impl Bound {
    pub(super) fn new() -> Self {
        Self {
            most: AtomicUsize::new(MOST),
            live: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            shared: AtomicU64::new(0),
            order: Mutex::new(VecDeque::new()),
        }
    }

    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    pub(super) fn numbers(&self) -> DynamicNames {
        DynamicNames {
            names: self.live.load(Ordering::Relaxed),
            most: self.most.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            shared: self.shared.load(Ordering::Relaxed),
        }
    }

    /// Takes a place for one more name, if there is one.
    fn take(&self) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        self.live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| (live < most).then_some(live + 1))
            .is_ok()
    }
}

impl SiteEntry {
    pub(super) fn new(declaration: &'static Declaration, label: Name) -> Self {
        Self {
            declaration,
            stats: Arc::new(SiteStats::new(label)),
            fixed: OnceLock::new(),
            names: DashMap::default(),
            shared: OnceLock::new(),
        }
    }
}

impl Inner {
    /// The handles of a name, which is made if it is new.
    pub(super) fn dynamic(&self, site: &Arc<SiteEntry>, filled: Filled<'_>, now: Instant) -> Arc<Handles> {
        let mut text = Text::new();
        let mut ends = [None; 3];
        for (name, end) in filled.iter().zip(&mut ends) {
            if let Some(name) = name {
                // Writing to memory does not fail; a user's `Display` that says so has written what it could.
                let _ = text.write_fmt(*name);
                *end = Some(text.len());
            }
        }
        // Several names in one key: where all but the last end tells ("ab", "c") from ("a", "bc").
        let count = ends.iter().flatten().count();
        for end in ends.iter().flatten().take(count.saturating_sub(1)) {
            let _ = write!(text, "\u{1f}{end}");
        }
        if let Some(handles) = take_last(site, text.as_bytes()) {
            handles.touch(now);
            return handles;
        }
        if let Some(handles) = site.names.get(text.as_bytes()) {
            handles.touch(now);
            return handles.clone();
        }
        self.add(site, text.as_str(), ends, now)
    }

    #[cold]
    fn add(&self, site: &Arc<SiteEntry>, text: &str, ends: [Option<usize>; 3], now: Instant) -> Arc<Handles> {
        let key = Key::from(bounded(text).as_bytes());
        if let Some(handles) = site.names.get(&key) {
            handles.touch(now);
            return handles.clone();
        }
        self.make_room(now);
        if !self.bound.take() {
            return self.share(site, now);
        }
        let handles = match site.names.entry(key.clone()) {
            // Another call was faster; its place serves both.
            Entry::Occupied(occupied) => {
                self.bound.live.fetch_sub(1, Ordering::Relaxed);
                return occupied.get().clone();
            }
            Entry::Vacant(vacant) => {
                let mut begin = 0;
                let names = ends.map(|end| {
                    let end = end?;
                    let name = &text[begin..end];
                    begin = end;
                    Some(name)
                });
                let handles = Arc::new(Handles { key: Some(key.clone()), ..self.join(site, names) });
                handles.touch(now);
                vacant.insert(handles.clone());
                handles
            }
        };
        self.bound.order.lock().push_back((site.clone(), key));
        handles
    }

    /// The one entry of a template for which there is no more room.
    fn share(&self, site: &Arc<SiteEntry>, now: Instant) -> Arc<Handles> {
        self.bound.shared.fetch_add(1, Ordering::Relaxed);
        let handles = site.shared.get_or_init(|| {
            self.bus.emit(|| Event::NamesAtCapacity { site: site.stats.label().clone() });
            Arc::new(self.join(site, [None; 3]))
        });
        handles.touch(now);
        handles.clone()
    }

    /// Looks at the next few names and drops those that may go.
    fn make_room(&self, now: Instant) {
        for _ in 0..STEPS {
            let full = self.bound.live.load(Ordering::Relaxed) >= self.bound.most.load(Ordering::Relaxed);
            let Some((site, key)) = self.bound.order.lock().pop_front() else { return };
            if self.evict(&site, &key, now, full) {
                if full {
                    return;
                }
            } else {
                self.bound.order.lock().push_back((site, key));
            }
        }
    }

    /// Drops every name that has been idle for long, and forgotten primitives.
    pub(super) fn sweep(&self, now: Instant) {
        drop(LAST.try_with(Cell::take));
        // Few at a time: meanwhile calls look for names that can make room.
        let mut left = self.bound.order.lock().len();
        while left > 0 {
            let names: Vec<_> = {
                let mut order = self.bound.order.lock();
                let few = left.min(FEW).min(order.len());
                order.drain(..few).collect()
            };
            if names.is_empty() {
                break;
            }
            left -= names.len();
            let (gone, kept): (Vec<_>, Vec<_>) =
                names.into_iter().partition(|(site, key)| self.evict(site, key, now, false));
            drop(gone);
            self.bound.order.lock().extend(kept);
        }
        self.circuits.sweep();
        self.bulkheads.sweep();
        self.limiters.sweep();
        self.budgets.sweep();
    }

    /// Drops a name if it is idle, its circuit closed, and nobody else holds its primitives.
    fn evict(&self, site: &Arc<SiteEntry>, key: &Key, now: Instant, for_room: bool) -> bool {
        let evictable = |handles: &Arc<Handles>| {
            Arc::strong_count(handles) == 1
                && (for_room || now.saturating_since(handles.idle_since()) >= IDLE)
                && self.is_at_rest(handles, now)
                && !self.is_shared(handles)
        };
        let Some((_, handles)) = site.names.remove_if(key, |_, handles| evictable(handles)) else {
            return false;
        };
        self.leave(handles);
        self.bound.live.fetch_sub(1, Ordering::Relaxed);
        self.bound.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether nothing is lost with what goes with the name: a circuit that is not closed, a quota that is partly used.
    fn is_at_rest(&self, handles: &Handles, now: Instant) -> bool {
        let circuit = handles.circuit.as_ref().is_none_or(|it| {
            it.state_at(now) == CircuitState::Closed || self.circuits.is_lasting(it.label())
        });
        let limiter =
            handles.limiter.as_ref().is_none_or(|it| it.is_full(now) || self.limiters.is_lasting(it.label()));
        circuit && limiter
    }

    fn is_shared(&self, handles: &Handles) -> bool {
        handles.circuit.as_ref().is_some_and(|it| self.circuits.is_shared(it.label()))
            || handles.bulkhead.as_ref().is_some_and(|it| self.bulkheads.is_shared(it.label()))
            || handles.limiter.as_ref().is_some_and(|it| self.limiters.is_shared(it.label()))
    }

    /// Gives up what a dropped name went through.
    fn leave(&self, handles: Arc<Handles>) {
        let circuit = handles.circuit.as_ref().map(|it| it.label().clone());
        let bulkhead = handles.bulkhead.as_ref().map(|it| it.label().clone());
        let limiter = handles.limiter.as_ref().map(|it| it.label().clone());
        let budget = handles.budget.is_some();
        drop(handles);
        if let Some(name) = &circuit {
            self.circuits.leave(name);
            if budget {
                self.budgets.leave(name);
            }
        }
        if let Some(name) = &bulkhead {
            self.bulkheads.leave(name);
        }
        if let Some(name) = &limiter {
            self.limiters.leave(name);
        }
    }
}

/// Text on the stack; on the heap only beyond 96 bytes.
struct Text {
    inline: [u8; Self::INLINE],
    len: usize,
    spilled: String,
}

impl Text {
    const INLINE: usize = 96;

    const fn new() -> Self {
        Self { inline: [0; Self::INLINE], len: 0, spilled: String::new() }
    }

    fn len(&self) -> usize {
        if self.spilled.is_empty() { self.len } else { self.spilled.len() }
    }

    fn as_bytes(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline[..self.len] } else { self.spilled.as_bytes() }
    }

    fn as_str(&self) -> &str {
        // Only whole `str`s were copied in.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.spilled.is_empty() {
            if let Some(room) = self.inline.get_mut(self.len..self.len + text.len()) {
                room.copy_from_slice(text.as_bytes());
                self.len += text.len();
                return Ok(());
            }
            self.spilled = self.as_str().to_owned();
        }
        self.spilled.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_spills_where_the_stack_ends() {
        let mut text = Text::new();
        for _ in 0..96 {
            write!(text, "a").unwrap();
        }
        assert_eq!((text.as_str().len(), text.spilled.len()), (96, 0));
        write!(text, "é").unwrap();
        assert_eq!((text.as_str().len(), text.as_str().chars().last()), (98, Some('é')));
    }
}
