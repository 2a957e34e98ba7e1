//! The table of keys: what exists, what it takes, in which range, and what else people call it.

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A whole number of the given type, in a range.
    Whole(Int, u64, u64),
    /// A share in (0, 1].
    Rate,
    /// A finite number of at least 1.
    Factor,
    /// `true` or `false`.
    Flag,
    /// The name of a backoff.
    Backoff,
    /// The name of a jitter, or a share.
    Jitter,
    /// A share, or `false`.
    Budget,
    /// A string literal, possibly a template.
    Name,
    /// A type.
    Type,
}

impl Kind {
    /// Its range, in words.
    pub(crate) fn range(self) -> String {
        match self {
            Self::Whole(_, least, MOST_PLACES..) => format!("{least} or more"),
            Self::Whole(_, least, most) => format!("{least} to {most}"),
            Self::Factor => "1.0 or more, and finite".to_owned(),
            _ => "above 0, at most 1".to_owned(),
        }
    }

    /// The same with both ends, for a value that is not known yet; an end that the type has anyway is not told.
    pub(crate) fn bounds(self) -> String {
        match self {
            Self::Whole(Int::U64 | Int::Usize, least, most) if most < MOST => format!("{least} to {most}"),
            _ => self.range(),
        }
    }
}

/// The types of whole numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Int {
    U32,
    U64,
    Usize,
}

impl Int {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Usize => "usize",
        }
    }
}

/// One key of a group.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// Two settings that must not cross, each with the value it has where it is not given.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) low: (&'static str, u64),
    pub(crate) high: (&'static str, u64),
    /// A key that takes the place of `high` and switches this rule off.
    pub(crate) unless: Option<&'static str>,
}

/// One group: `circuit(..)`, `retry(..)`, `bulkhead(..)`, `rate_limit(..)`, `pool(..)`, `workers(..)`.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) key: &'static str,
    /// Whether calls may fill in its name.
    pub(crate) templates: bool,
    /// What must be given, and what `key = value` is short for.
    pub(crate) main: &'static str,
    /// How it is written.
    pub(crate) example: &'static str,
    pub(crate) keys: &'static [Key],
    pub(crate) orders: &'static [Order],
    /// The first is meaningless without the second.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// Only one of the two may be given.
    pub(crate) either: &'static [(&'static str, &'static str)],
    /// Words of other libraries and what they are called here.
    pub(crate) foreign: &'static [(&'static str, &'static str)],
}

impl Spec {
    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// A value of the main key.
    pub(crate) fn sample(&self) -> &'static str {
        self.example.split_once("= ").map_or("..", |(_, sample)| sample)
    }
}

const MOST: u64 = u64::MAX;
const MOST_U32: u64 = u32::MAX as u64;
const MOST_PLACES: u64 = MOST_U32 >> 1;

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

const fn millis(name: &'static str) -> Key {
    key(name, MILLIS)
}

/// A duration that must not be zero.
pub(crate) const MILLIS: Kind = Kind::Whole(Int::U64, 1, MOST);

pub(crate) static CIRCUIT: Spec = Spec {
    key: "circuit",
    templates: true,
    main: "name",
    example: "circuit = \"api\"",
    keys: &[
        key("name", Kind::Name),
        key("failure_rate", Kind::Rate),
        key("window", Kind::Whole(Int::Usize, 1, 1_000_000)),
        millis("window_ms"),
        key("min_calls", Kind::Whole(Int::Usize, 1, MOST_U32)),
        key("failure_threshold", Kind::Whole(Int::U32, 1, MOST_U32)),
        millis("failure_reset_ms"),
        millis("slow_call_ms"),
        key("slow_call_rate", Kind::Rate),
        millis("open_ms"),
        millis("open_max_ms"),
        key("probes", Kind::Whole(Int::Usize, 1, 1_000)),
        key("probe_successes", Kind::Whole(Int::Usize, 1, 1_000)),
        millis("half_open_max_ms"),
        key("critical", Kind::Flag),
    ],
    orders: &[
        Order { low: ("min_calls", 1), high: ("window", 100), unless: Some("window_ms") },
        Order { low: ("probe_successes", 1), high: ("probes", 2), unless: None },
        Order { low: ("open_ms", 30_000), high: ("open_max_ms", MOST), unless: None },
    ],
    needs: &[("slow_call_rate", "slow_call_ms"), ("failure_reset_ms", "failure_threshold")],
    either: &[("window", "window_ms")],
    foreign: &[
        ("threshold", "failure_threshold"),
        ("failures", "failure_threshold"),
        ("max_failures", "failure_threshold"),
        ("consecutive_failures", "failure_threshold"),
        ("rate", "failure_rate"),
        ("error_rate", "failure_rate"),
        ("error_threshold", "failure_rate"),
        ("failure_rate_threshold", "failure_rate"),
        ("failure_ratio", "failure_rate"),
        ("minimum_calls", "min_calls"),
        ("minimum_number_of_calls", "min_calls"),
        ("min_requests", "min_calls"),
        ("min_throughput", "min_calls"),
        ("volume_threshold", "min_calls"),
        ("window_size", "window"),
        ("sliding_window_size", "window"),
        ("window_duration_ms", "window_ms"),
        ("slow_call_duration_ms", "slow_call_ms"),
        ("slow_call_threshold_ms", "slow_call_ms"),
        ("slow_call_rate_threshold", "slow_call_rate"),
        ("timeout", "open_ms"),
        ("timeout_ms", "open_ms"),
        ("reset_timeout", "open_ms"),
        ("reset_timeout_ms", "open_ms"),
        ("recovery_timeout", "open_ms"),
        ("recovery_timeout_ms", "open_ms"),
        ("wait_duration", "open_ms"),
        ("wait_duration_ms", "open_ms"),
        ("break_duration", "open_ms"),
        ("break_duration_ms", "open_ms"),
        ("cooldown", "open_ms"),
        ("cooldown_ms", "open_ms"),
        ("sleep_window", "open_ms"),
        ("sleep_window_ms", "open_ms"),
        ("max_open_ms", "open_max_ms"),
        ("half_open", "probes"),
        ("half_open_calls", "probes"),
        ("half_open_max_calls", "probes"),
        ("permitted_calls", "probes"),
        ("success_threshold", "probe_successes"),
        ("successes", "probe_successes"),
    ],
};

pub(crate) static RETRY: Spec = Spec {
    key: "retry",
    templates: false,
    main: "max",
    example: "retry = 3",
    keys: &[
        key("max", Kind::Whole(Int::U32, 0, MOST_U32)),
        key("backoff", Kind::Backoff),
        millis("delay_ms"),
        millis("max_delay_ms"),
        key("factor", Kind::Factor),
        key("jitter", Kind::Jitter),
        key("budget", Kind::Budget),
        millis("max_elapsed_ms"),
    ],
    orders: &[Order { low: ("delay_ms", 100), high: ("max_delay_ms", 10_000), unless: None }],
    needs: &[],
    either: &[],
    foreign: &[
        ("attempts", "max"),
        ("max_attempts", "max"),
        ("max_retries", "max"),
        ("max_times", "max"),
        ("retries", "max"),
        ("times", "max"),
        ("count", "max"),
        ("strategy", "backoff"),
        ("policy", "backoff"),
        ("base_ms", "delay_ms"),
        ("base_delay", "delay_ms"),
        ("base_delay_ms", "delay_ms"),
        ("initial_delay", "delay_ms"),
        ("initial_delay_ms", "delay_ms"),
        ("initial_interval", "delay_ms"),
        ("initial_ms", "delay_ms"),
        ("interval_ms", "delay_ms"),
        ("min_delay", "delay_ms"),
        ("min_delay_ms", "delay_ms"),
        ("wait_ms", "delay_ms"),
        ("cap_ms", "max_delay_ms"),
        ("max_backoff", "max_delay_ms"),
        ("max_backoff_ms", "max_delay_ms"),
        ("max_interval", "max_delay_ms"),
        ("multiplier", "factor"),
        ("base", "factor"),
        ("randomization_factor", "jitter"),
        ("deadline_ms", "max_elapsed_ms"),
        ("max_elapsed_time", "max_elapsed_ms"),
        ("max_total_delay_ms", "max_elapsed_ms"),
    ],
};

pub(crate) static BULKHEAD: Spec = Spec {
    key: "bulkhead",
    templates: true,
    main: "max",
    example: "bulkhead = 10",
    keys: &[
        key("name", Kind::Name),
        key("max", Kind::Whole(Int::Usize, 1, MOST_PLACES)),
        key("queue", Kind::Whole(Int::Usize, 0, MOST_PLACES)),
        key("wait_ms", Kind::Whole(Int::U64, 0, MOST)),
    ],
    orders: &[],
    needs: &[],
    either: &[],
    foreign: &[
        ("size", "max"),
        ("limit", "max"),
        ("capacity", "max"),
        ("concurrency", "max"),
        ("max_concurrent", "max"),
        ("max_concurrent_calls", "max"),
        ("max_concurrency", "max"),
        ("permits", "max"),
        ("max_queue", "queue"),
        ("queue_size", "queue"),
        ("queue_capacity", "queue"),
        ("max_queued", "queue"),
        ("max_wait", "wait_ms"),
        ("max_wait_ms", "wait_ms"),
        ("timeout", "wait_ms"),
        ("timeout_ms", "wait_ms"),
        ("wait", "wait_ms"),
    ],
};

pub(crate) static RATE_LIMIT: Spec = Spec {
    key: "rate_limit",
    templates: true,
    main: "max",
    example: "rate_limit = 100",
    keys: &[
        key("name", Kind::Name),
        key("max", Kind::Whole(Int::U32, 1, MOST_U32)),
        millis("per_ms"),
        key("burst", Kind::Whole(Int::U32, 1, MOST_U32)),
        key("wait_ms", Kind::Whole(Int::U64, 0, MOST)),
    ],
    orders: &[],
    needs: &[],
    either: &[],
    foreign: &[
        ("rate", "max"),
        ("limit", "max"),
        ("calls", "max"),
        ("requests", "max"),
        ("permits", "max"),
        ("rps", "max"),
        ("per_second", "max"),
        ("per", "per_ms"),
        ("period", "per_ms"),
        ("period_ms", "per_ms"),
        ("interval", "per_ms"),
        ("interval_ms", "per_ms"),
        ("window_ms", "per_ms"),
        ("refresh_ms", "per_ms"),
        ("burst_size", "burst"),
        ("bucket", "burst"),
        ("max_wait_ms", "wait_ms"),
        ("timeout_ms", "wait_ms"),
        ("wait", "wait_ms"),
    ],
};

pub(crate) static POOL: Spec = Spec {
    key: "pool",
    templates: false,
    main: "name",
    example: "pool = \"db\"",
    keys: &[key("name", Kind::Name), key("manager", Kind::Type)],
    orders: &[],
    needs: &[],
    either: &[],
    foreign: &[
        ("type", "manager"),
        ("by", "manager"),
        ("connection", "manager"),
        ("connection_manager", "manager"),
        ("pool", "name"),
    ],
};

pub(crate) static WORKERS: Spec = Spec {
    key: "workers",
    templates: false,
    main: "name",
    example: "workers = \"cpu\"",
    keys: &[
        key("name", Kind::Name),
        key("threads", Kind::Whole(Int::Usize, 1, 4_096)),
        key("queue", Kind::Whole(Int::Usize, 0, MOST_PLACES)),
    ],
    orders: &[],
    needs: &[],
    either: &[],
    foreign: &[
        ("pool", "name"),
        ("thread", "threads"),
        ("size", "threads"),
        ("max", "threads"),
        ("workers", "threads"),
        ("num_threads", "threads"),
        ("max_threads", "threads"),
        ("pool_size", "threads"),
        ("concurrency", "threads"),
        ("parallelism", "threads"),
        ("max_queue", "queue"),
        ("queue_size", "queue"),
        ("queue_capacity", "queue"),
        ("capacity", "queue"),
        ("backlog", "queue"),
    ],
};

/// Every group.
pub(crate) static GROUPS: [&Spec; 6] = [&CIRCUIT, &RETRY, &BULKHEAD, &RATE_LIMIT, &POOL, &WORKERS];

/// Every key of the attribute itself.
pub(crate) static TOP: [&str; 17] = [
    "circuit",
    "retry",
    "timeout",
    "timeout_ms",
    "total_timeout",
    "total_timeout_ms",
    "bulkhead",
    "rate_limit",
    "pool",
    "workers",
    "fallback",
    "classify",
    "retry_if",
    "failure_if",
    "clone",
    "crate",
    "skip",
];

/// Words of other libraries, and what to write here.
pub(crate) static FOREIGN: &[(&str, &str)] = &[
    ("attempts", "`retry = n`, which means n further attempts after the first"),
    ("max_attempts", "`retry = n`, which means n further attempts after the first"),
    ("max_tries", "`retry = n`, which means n further attempts after the first"),
    ("tries", "`retry = n`, which means n further attempts after the first"),
    ("stop_after_attempt", "`retry = n`, which means n further attempts after the first"),
    ("retries", "`retry`"),
    ("max_retries", "`retry`"),
    ("num_retries", "`retry`"),
    ("retry_count", "`retry`"),
    ("times", "`retry`"),
    ("breaker", "`circuit`"),
    ("circuit_breaker", "`circuit`"),
    ("circuitbreaker", "`circuit`"),
    ("cb", "`circuit`"),
    ("name", "`circuit = \"..\"`"),
    ("limiter", "`rate_limit`"),
    ("max_rate", "`rate_limit`"),
    ("qps", "`rate_limit`"),
    ("rate", "`rate_limit`"),
    ("rate_limiter", "`rate_limit`"),
    ("ratelimit", "`rate_limit`"),
    ("rps", "`rate_limit`"),
    ("throttle", "`rate_limit`"),
    ("concurrency", "`bulkhead`"),
    ("concurrency_limit", "`bulkhead`"),
    ("max_concurrency", "`bulkhead`"),
    ("max_concurrent", "`bulkhead`"),
    ("max_concurrent_calls", "`bulkhead`"),
    ("max_in_flight", "`bulkhead`"),
    ("semaphore", "`bulkhead`"),
    ("connection", "`pool`"),
    ("connection_pool", "`pool`"),
    ("pooled", "`pool = \"..\"`, and `#[pooled]` at the argument"),
    ("worker", "`workers`"),
    ("worker_pool", "`workers`"),
    ("worker_threads", "`workers(name = \"..\", threads = ..)`"),
    ("thread_pool", "`workers`"),
    ("blocking", "`workers`"),
    ("spawn_blocking", "`workers`"),
    ("deadline", "`total_timeout`"),
    ("deadline_ms", "`total_timeout_ms`"),
    ("overall_timeout", "`total_timeout`"),
    ("overall_timeout_ms", "`total_timeout_ms`"),
    ("time_limit", "`timeout`"),
    ("timeout_millis", "`timeout_ms`"),
    ("timeout_s", "`timeout = \"2s\"`"),
    ("timeout_sec", "`timeout = \"2s\"`"),
    ("timeout_secs", "`timeout = \"2s\"`"),
    ("timeout_seconds", "`timeout = \"2s\"`"),
    ("default", "`fallback`"),
    ("fallback_fn", "`fallback`"),
    ("fallback_method", "`fallback`"),
    ("on_error", "`fallback`"),
    ("or_else", "`fallback`"),
    ("recover", "`fallback`"),
    ("if", "`retry_if`"),
    ("predicate", "`retry_if`"),
    ("retry_on", "`retry_if`"),
    ("retry_when", "`retry_if`"),
    ("should_retry", "`retry_if`"),
    ("when", "`retry_if`"),
    ("classifier", "`classify`"),
    ("error_class", "`classify`"),
    ("fail_if", "`failure_if`"),
    ("failure_predicate", "`failure_if`"),
    ("is_failure", "`failure_if`"),
    ("record_failure", "`failure_if`"),
];
