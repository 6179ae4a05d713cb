//! Programs that import saved programs: names are checked before anything runs.

mod common;

use common::Bench;
use loopwright::protocol::Json;
use loopwright::types::{Code, RunStatus};
use loopwright::{PrepareError, Run, RunOptions};

#[test]
fn a_library_gives_its_names_and_a_name_it_lacks_is_refused_before_the_run() {
    let bench = Bench::new()
        .file(".loopwright/workflows/numbers.ts", "export const double = (n: number) => 2 * n;")
        .file("good.ts", "import { double } from \"library:numbers\";\ndouble(21)")
        .file("bad.ts", "import { triple } from \"library:numbers\";\ntriple(7)");
    let good = common::execute(bench.prepare(
        &bench.workspace().join("good.ts"),
        &bench.workspace(),
        None,
    ));
    assert_eq!(good.report.status, RunStatus::Complete, "{:?}", good.report);
    assert_eq!(good.report.result.as_ref().map(Json::text), Some("42"));
    let options = RunOptions {
        tables: Default::default(),
        program: bench.workspace().join("bad.ts"),
        workspace: bench.workspace(),
        args: None,
        agents_dir: None,
        model: None,
        settings: bench.settings.clone(),
        data_dir: bench.data_dir(),
        cache_dir: Some(common::cache_dir()),
    };
    let Err(PrepareError::Program(report)) = Run::prepare(options) else {
        panic!("it must be refused")
    };
    assert_eq!(report.diagnostics[0].code, Code::IMPORT_NAME_UNKNOWN);
    assert_eq!(report.diagnostics[0].location.as_ref().unwrap().position.line, 1);
}

#[test]
fn a_rejection_that_nothing_handles_names_its_line_and_degrades_the_run() {
    let ran = Bench::new().run("const a = 1;\nPromise.reject(new Error('later'));\na");
    assert_eq!(ran.report.status, RunStatus::Degraded);
    assert_eq!(ran.report.failures.len(), 1);
    assert!(ran.report.failures[0].contains("program.ts:2:"), "{:?}", ran.report.failures);
}
