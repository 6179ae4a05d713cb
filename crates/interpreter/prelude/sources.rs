//! The guest's side of the program API: one script evaluated while the image is built, and the modules a program may
//! import. The order matters: each part uses what the parts before it put on `__lw.kit`.

/// The prelude: evaluated once, after `__lw` exists and before any program.
pub const PRELUDE: &str = concat!(
    include_str!("kit.js"),      // errors, argument checks
    include_str!("scopes.js"),   // which call belongs to which piece of work
    include_str!("calls.js"),    // agent, task, workflow, sleep, approve, failures
    include_str!("budget.js"),   // budget
    include_str!("tools.js"),    // tools
    include_str!("flow.js"),     // parallel, pipeline
    include_str!("races.js"),    // settle, asCompleted, quorum, hedge, withDeadline
    include_str!("coverage.js"), // coverage
    include_str!("console.js"),  // console, log
    include_str!("clone.js"),    // structuredClone
    include_str!("globals.js"),  // names on the global object, hooks
    include_str!("harden.js"),   // freezes everything, removes `__lw`
);

/// The name under which the prelude is evaluated; frames of such names are never the author's.
pub const PRELUDE_NAME: &str = "loopwright:prelude";

/// Modules that programs may import, by name.
pub const MODULES: &[(&str, &str)] = &[("loopwright:patterns", include_str!("patterns.js"))];
