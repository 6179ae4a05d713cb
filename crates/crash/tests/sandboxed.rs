//! The same search with real programs in the real sandbox: clock, random numbers and the order of completions are in
//! what they ask, so that a replay that differs in any of these asks something else.

use loopwright_crash::run::{Case, Expected, Program, value};
use loopwright_interpreter::{GAS_PER_MS, Guests, Interpreter, Options, run_on_big_stack};
use loopwright_protocol::ProgramText;
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;

const SOURCE: &str = r#"
const pairs = [];
async function ask(id) {
  pairs.push([id, await task({ description: id, subagentType: "general-purpose", retries: 4 })]);
}
async function write(id) {
  pairs.push([id, await tools.write_file({ id })]);
}
const drawn = () => Math.floor(Math.random() * 1e9);
await Promise.all([0, 1, 2, 3, 4].map((i) => ask(`a${i}-${drawn()}-${Date.now()}`)));
const order = pairs.map((pair) => pair[0].slice(0, 2)).join("");
await write(`w-${order}-${Date.now()}-${budget.spent()}`);
const first = await Promise.race([ask(`l-${drawn()}`), ask(`r-${drawn()}`)].map((one, i) => one.then(() => i)));
await sleep(20);
await Promise.all([write(`x-${first}-${Date.now()}`), ask(`y-${first}-${drawn()}`)]);
export default pairs;
"#;

fn interpreter() -> &'static Interpreter {
    static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache"));
        let options = Options { cache_dir, pool: 16, ..Options::default() };
        Interpreter::new(options).expect("the interpreter starts")
    })
}

fn text() -> ProgramText {
    let parsed = loopwright_program::parse("crash.ts", SOURCE);
    let parsed = parsed.unwrap_or_else(|report| panic!("{report}"));
    ProgramText {
        name: parsed.name,
        source: parsed.source,
        digest: parsed.digest,
        code: parsed.code,
        strict: parsed.strict,
        prefix_columns: parsed.prefix_columns,
        modules: Vec::new(),
        meta: None,
    }
}

/// Each answer stands beside what it answers.
fn check(result: &Value) -> Result<(), String> {
    let pairs = result.as_array().filter(|pairs| pairs.len() >= 9);
    let wrong = pairs.ok_or(result).and_then(|pairs| {
        let right = |pair: &&Value| pair[1] == value(pair[0].as_str().unwrap_or_default());
        pairs.iter().find(|pair| !right(pair)).map_or(Ok(()), Err)
    });
    wrong.map_err(|wrong| format!("wrong: {wrong}"))
}

fn case(seed: u64) -> Result<u64, String> {
    let mut program = Program::of(seed, text(), Expected::Checked(check));
    program.start.interpreter = interpreter().hash();
    program.gas_per_ms = GAS_PER_MS;
    let settings = program.start.settings.clone();
    program.guests = Box::new(move || Box::new(Guests::new(interpreter().clone(), &settings)));
    Case::of(seed, program).go()
}

#[test]
fn real_programs_survive_crashes() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("LOOPWRIGHT_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LOOPWRIGHT_CRASH_SEEDS").map_or(20, |seeds| seeds / 10),
    };
    let found = run_on_big_stack(move || loopwright_crash::search(seeds, case));
    match found {
        Ok(found) => println!("{found:?}"),
        Err((seed, found, what)) => panic!("seed {seed} (after {found:?}): {what}"),
    }
}
