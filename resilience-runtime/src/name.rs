//! Names of circuits, bulkheads, limiters, pools and sites.
//!
//! A refusal carries the name of what refused, and building one must not allocate: a name is a pointer to text
//! that already exists, either in the binary or behind a reference count.

use std::{
    borrow::Borrow,
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// The name of a circuit, bulkhead, limiter, timeout, pool or site. Cheap to clone.
///
/// `Display` escapes control characters and the marks that turn the direction of text, so that a name taken from a
/// request can neither break a terminal or a log line nor reorder it.
///
/// # Examples
///
/// ```
/// use resilience_runtime::Name;
///
/// const API: Name = Name::from_static("api");
/// assert_eq!(API, "api");
/// assert_eq!(Name::from("a\nb").to_string(), "a\\nb");
/// ```
#[derive(Clone)]
pub struct Name(Repr);

/// Two words: a shared name's pointer lies where a static one's length would, since errors and futures carry names.
#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared(Arc<Box<str>>),
}

impl Name {
    /// A name that lives in the binary.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(Repr::Static(name))
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(name) => name,
            Repr::Shared(name) => name,
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(Repr::Shared(Arc::new(name.into())))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        Self(Repr::Shared(Arc::new(name.into())))
    }
}

impl From<&Self> for Name {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.chars() {
            if is_dangerous(c) { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// Whether printing `c` may do more than show it: control characters, line and paragraph separators, and the marks that
/// change the direction of the text around them (Unicode's property `Bidi_Control`).
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(feature = "serde")]
impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_text_wherever_it_lives() {
        let (fixed, shared) = (Name::from_static("api"), Name::from(String::from("api")));
        assert_eq!(fixed, shared);
        assert!(std::collections::HashSet::from([fixed.clone()]).contains("api"));
        assert_eq!((&*shared, format!("{fixed:?}")), ("api", "\"api\"".to_owned()));
        assert_eq!(AsRef::<str>::as_ref(&fixed), "api");
    }

    #[test]
    fn names_compare_as_their_texts_do() {
        let (api, db) = (Name::from_static("api"), Name::from("db"));
        assert_eq!((api == "api", api == *"api", api == db), (true, true, false));
        assert_eq!((api == "db", api == *"db"), (false, false));
        assert_eq!(api.partial_cmp(&db), Some(std::cmp::Ordering::Less));
    }

    /// A name from a request could otherwise show the cells of its row in another order.
    #[test]
    fn display_escapes_what_would_reorder_a_line() {
        let marks =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for mark in marks.chars() {
            let name = Name::from(format!("a{mark}b"));
            assert_eq!(name.to_string(), format!("a\\u{{{:x}}}b", u32::from(mark)));
        }
        assert_eq!(Name::from("a\u{2028}b\u{2029}").to_string(), "a\\u{2028}b\\u{2029}");
        assert_eq!(Name::from("שלום \u{200d}").to_string(), "שלום \u{200d}");
    }

    #[test]
    fn display_escapes_what_would_break_a_terminal() {
        assert_eq!(Name::from("a\u{1b}[31m\r\n\u{85}é").to_string(), "a\\u{1b}[31m\\r\\n\\u{85}é");
    }
}
