//! Bugs put in on purpose: the one list of them. A build has none of them unless it has the feature `deliberate-faults`,
//! which a release build refuses; there [`Bug::is_on`] is `false` for the compiler too, and nothing of them is left.
//! The crash search must find each (`crates/crash`, `docs/design/crash-search.md`).

#[cfg(all(feature = "deliberate-faults", not(debug_assertions)))]
compile_error!("`deliberate-faults` puts bugs in on purpose: never in a release build");

macro_rules! bugs {
    ($($(#[doc = $text:literal])+ $name:ident,)+) => {
        /// A bug that the engine or the journal has when it is switched on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $text])+ $name,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// What it does, in words.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($text),+).trim_ascii(),)+
                }
            }
        }
    };
}

bugs! {
    // The journal.
    /// An owner writes without comparing its epoch.
    IgnoreEpoch,
    /// A resume leaves the epoch as it was.
    KeepEpoch,
    /// A commit does not sync the log (`synchronous=NORMAL`).
    SynchronousNormal,
    /// The directory is not synced when the journal is opened.
    NoDirectorySync,
    /// Entries are reported durable before the commit.
    ReportEarly,
    /// The report counts one entry more than the commit wrote.
    ReportOneMore,
    /// The last entry of a batch is not written.
    DropLastOfBatch,
    /// The entries of a batch are written the other way round.
    ReverseBatch,
    /// A run's row is not written with its entries.
    ForgetRow,
    /// A value is written in a transaction of its own after its entry's.
    BlobAfterRow,
    /// Deleting a run also deletes the values that other runs need.
    DeleteSharedBlobs,
    /// A request is taken away before what was done about it is durable.
    AcknowledgeEarly,
    /// A request is reported before it is durable.
    RequestEarly,
    /// An import is listed before all of its entries are there.
    ListImportEarly,
    /// What an interrupted deletion left is not cleared away.
    KeepLeftovers,
    /// A record's checksum is not compared.
    SkipChecksum,
    /// The hash chain is not compared.
    SkipChain,
    /// The end of a run is not held against its row when it is resumed.
    SkipEnd,
    // The engine.
    /// An attempt is dispatched before its intent is durable.
    DispatchEarly,
    /// An attempt with effects is dispatched without any intent.
    ForgetIntent,
    /// A result is delivered before it is durable.
    DeliverEarly,
    /// A result is delivered twice.
    DeliverTwice,
    /// The run's end is told before it is durable.
    FinishEarly,
    /// A replay delivers completions in the order of their calls, not in the recorded one.
    OrderByStart,
    /// A replay gives a guest another seed.
    LoseSeed,
    /// A replay shows a guest another time than the recorded one.
    LiveClock,
    /// A replay shows a guest other budget figures than the recorded ones.
    LiveBudget,
    /// A resume takes a settled call for an open one.
    ForgetSettled,
    /// A resume sends settled tasks again.
    RunSettledAgain,
    /// A resume takes what has effects for what has none, and repeats it by itself.
    RepeatEffects,
    /// A retryable failure of what has effects is retried by itself.
    RetryEffects,
    /// A resume takes what was under way for still under way.
    ForgetLost,
    /// A resume sets no timers.
    ForgetTimers,
    /// A decision on a call in doubt is neither written nor carried out.
    ForgetDecision,
    /// The end of any attempt of an open call is taken for that of the one under way.
    TakeAnyEnd,
    /// A lookup that found nothing out is taken for one that found that nothing was done.
    UnknownIsNotDone,
    /// What a lookup says was done is sent again all the same.
    FoundIsForgotten,
    /// What a lookup says was not done is sent again under another key.
    RepeatUnderNewKey,
    /// A lookup asks under another key than the one that the work went out under.
    LookUpOtherKey,
}

#[cfg(feature = "deliberate-faults")]
thread_local! {
    static ON: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

impl Bug {
    /// Whether this thread's code has the bug.
    #[inline]
    pub fn is_on(self) -> bool {
        #[cfg(feature = "deliberate-faults")]
        return ON.get() == Some(self);
        #[cfg(not(feature = "deliberate-faults"))]
        false
    }

    /// Gives this thread's code this bug, or none.
    #[cfg(feature = "deliberate-faults")]
    pub fn switch(on: Option<Self>) {
        ON.set(on);
    }
}
