//! The kinds of case, by name.

use super::{
    cases::Drawn,
    healthy,
    incidents::{self, outside, pairs},
    rng::Rng,
};

macro_rules! kinds {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// Kinds of case. New ones come last: a kind's place is part of its seeds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($kind),* }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    Steady "healthy-steady",
    Bursty "healthy-bursty",
    Ramp "healthy-ramp",
    Idle "healthy-idle",
    WarmedUp "healthy-warmed-up",
    LongBatch "healthy-long-batch",
    NoPrefix "healthy-no-prefix",
    LostScrape "healthy-lost-scrape",
    ShortWindow "healthy-short-window",
    Overload "load-exceeds-capacity",
    PromptsGrew "prompts-grew",
    OutputsGrew "outputs-grew",
    BudgetBypass "context-budget-bypass",
    Volatile "volatile-prefix",
    VolatileHalf "volatile-prefix-half",
    CachingOff "prefix-caching-disabled",
    ColdCache "cache-cold-after-restart",
    KvOutputs "kv-working-set-outputs",
    KvPrompts "kv-working-set-prompts",
    KvArrivals "kv-working-set-arrivals",
    Evicting "kv-pressure-evicts",
    HostBusy "host-cpu-contention",
    SlowGpu "compute-degraded",
    BigBatches "excess-concurrency",
    GivingUp "clients-giving-up",
    Dead "engine-dead",
    Wedged "engine-wedged",
    FewerSlots "engine-config-changed",
    Malformed "malformed-requests",
    Unauthorized "auth-rejections",
    Imbalance "replica-imbalance",
    RegularPauses "outside-regular-pauses",
    RandomPauses "outside-random-pauses",
    OneFreeze "outside-one-freeze",
    RemoteStore "outside-remote-store",
    GrammarCompile "outside-grammar-compile",
    SlowAdmission "outside-slow-admission",
    DraftsRejected "outside-drafts-rejected",
    VolatileMalformed "pair-volatile-malformed",
    SlowGpuUnauthorized "pair-slow-gpu-unauthorized",
    BypassMalformed "pair-bypass-malformed",
    HostUnauthorized "pair-host-unauthorized",
    BatchesMalformed "pair-batches-malformed",
    SlotsMalformed "pair-slots-malformed",
    PromptsGivingUp "pair-prompts-giving-up",
    OutputsUncached "pair-outputs-uncached",
    RampDown "healthy-ramp-down",
    Doubling "healthy-doubling",
    Lull "healthy-lull",
    Sparse "healthy-sparse",
    Young "healthy-young-process",
    CacheChurn "healthy-cache-churn",
    MixChanged "healthy-mix-changed",
    ShorterAnswers "healthy-shorter-answers",
    LongerAnswers "healthy-longer-answers",
    HugePrompt "healthy-huge-prompt",
    FewRefusals "healthy-few-refusals",
    FewHangUps "healthy-few-hang-ups",
    DataParallel "healthy-data-parallel",
    FullKv "healthy-full-kv",
    Speculating "healthy-speculating",
    NeverCached "healthy-never-cached",
    Adapters "healthy-adapters",
    SlowLink "outside-slow-link",
    Interference "prefill-interference",
    MixDiversified "outside-mix-diversified",
    NewPrompts "prompt-version-broke-prefix",
    Leak "kv-block-leak",
    OutOfMemory "memory-config-too-aggressive",
    DoesNotFit "kv-cache-does-not-fit",
    CudaFault "cuda-fault",
    AdapterMissing "adapter-load-failed",
    SlotsThrash "adapter-slots-thrash",
    HotGpu "gpu-throttled",
    LostGpu "gpu-hardware-degraded",
    QuotaUsed "host-cpu-quota",
    Stranger "foreign-gpu-process",
    SoundMachine "healthy-machine",
    HarmlessXid "healthy-harmless-xid",
}

impl Kind {
    pub fn is_healthy(self) -> bool {
        self.name().starts_with("healthy")
    }

    /// Whether something is wrong that no known cause claims.
    pub fn is_outside(self) -> bool {
        self.name().starts_with("outside")
    }

    /// Whether two causes are true.
    pub fn is_pair(self) -> bool {
        self.name().starts_with("pair")
    }
}

/// Draws a plan of a kind.
pub fn plan(kind: Kind, rng: &mut Rng) -> Drawn {
    match kind {
        kind if kind.is_healthy() => healthy::plan(kind, rng),
        kind if kind.is_outside() => outside::plan(kind, rng),
        kind if kind.is_pair() => pairs::plan(kind, rng),
        kind => incidents::single(kind, rng),
    }
}
