//! Made-up values fit their schemas: a table of what authors write, and thousands of random schemas.

use loopwright_schema::{Limits, Validator, canonical, compile, describe, generate};
use loopwright_types::Code;
use serde_json::{Map, Value, json};

/// A small generator of random numbers (SplitMix64), so that a seed names a case.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// One schema per line: what authors write, each keyword, format and draft.
const TABLE: &str = include_str!("data/schemas.jsonl");

fn assert_made_values_fit(schema: &Value, validator: &Validator, seeds: u64) {
    for seed in 0..seeds {
        let mut random = Random(seed);
        let value = validator
            .generate(&mut || random.next())
            .unwrap_or_else(|error| panic!("seed {seed} of {schema}: {error}"));
        if let Err(violations) = validator.check(&value) {
            panic!("seed {seed} of {schema} made {value}: {}", describe(&violations));
        }
    }
}

#[test]
fn made_values_fit_every_schema_of_the_table() {
    for line in TABLE.lines() {
        let schema: Value = serde_json::from_str(line).unwrap();
        let validator = compile(&schema, &Limits::default())
            .unwrap_or_else(|error| panic!("{schema}: {error}"));
        assert_made_values_fit(&schema, &validator, 30);
    }
}

#[test]
fn one_seed_makes_one_value_and_many_seeds_make_many() {
    let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}});
    let make = |seed| {
        let mut random = Random(seed);
        canonical(&generate(&schema, &mut || random.next()).unwrap())
    };
    assert_eq!(make(7), make(7));
    let distinct: std::collections::BTreeSet<String> = (0..50).map(make).collect();
    assert!(distinct.len() > 40, "{distinct:?}");
}

#[test]
fn a_schema_that_nothing_is_found_for_is_an_error_that_says_so() {
    // Satisfiable, but only by a needle: a text whose digits and letters two patterns place.
    let schema = json!({"type": "string", "allOf": [{"pattern": "^(ab)+$"}, {"pattern": "^(aba)*bab(bab)*$|^q{77}$"}]});
    let validator = compile(&schema, &Limits::default()).unwrap();
    let mut random = Random(1);
    match validator.generate(&mut || random.next()) {
        Ok(value) => assert!(validator.is_valid(&value)),
        Err(error) => assert_eq!(error.code, Code::ANSWER_INVALID),
    }
}

/// A random schema; most are satisfiable, many are odd.
fn random_schema(random: &mut Random, depth: u32) -> Value {
    let kind = random.below(if depth == 0 { 7 } else { 14 });
    let small = |random: &mut Random| random.below(6);
    fn pick<T: Copy>(random: &mut Random, items: &[T]) -> T {
        items[random.below(items.len() as u64) as usize]
    }
    match kind {
        0 => json!({"type": "boolean"}),
        1 => {
            let low = small(random);
            json!({"type": "integer", "minimum": low, "maximum": low + small(random)})
        }
        2 => {
            json!({"type": "number", "multipleOf": pick(random, &[0.5, 1.0, 0.01, 3.0]), "minimum": small(random)})
        }
        3 => {
            let low = small(random);
            json!({"type": "string", "minLength": low, "maxLength": low + small(random)})
        }
        4 => {
            json!({"type": "string", "pattern": pick(random, &["^a+b?$", "[0-9]{2}", "^(x|yy|zzz)$"])})
        }
        5 => {
            let all = [json!(1), json!("a"), json!(null), json!([1]), json!({"k": 2})];
            json!({"enum": all[..1 + random.below(5) as usize]})
        }
        6 => json!({"type": ["string", "integer"], "minimum": 3, "minLength": 2}),
        7 | 8 => random_object(random, depth),
        9 | 10 => {
            let low = random.below(3);
            let mut schema = json!({"type": "array", "items": random_schema(random, depth - 1), "minItems": low,
                "maxItems": low + small(random)});
            if random.below(3) == 0 {
                schema["uniqueItems"] = json!(true);
            }
            if random.below(4) == 0 {
                schema["prefixItems"] = json!([random_schema(random, depth - 1)]);
            }
            schema
        }
        11 => {
            json!({"anyOf": [random_schema(random, depth - 1), random_schema(random, depth - 1)]})
        }
        12 => {
            json!({"oneOf": [random_schema(random, depth - 1), random_schema(random, depth - 1)]})
        }
        _ => json!({"allOf": [random_object(random, depth), random_object(random, depth - 1)]}),
    }
}

fn random_object(random: &mut Random, depth: u32) -> Value {
    let names = ["a", "b", "c", "d"];
    let mut properties = Map::new();
    for name in names {
        if random.below(2) == 0 {
            properties.insert(name.to_owned(), random_schema(random, depth.saturating_sub(1)));
        }
    }
    let required: Vec<&str> = names.into_iter().filter(|_| random.below(3) == 0).collect();
    let mut schema = json!({"type": "object", "properties": properties, "required": required});
    match random.below(6) {
        0 => schema["additionalProperties"] = json!(false),
        1 => schema["additionalProperties"] = random_schema(random, depth.saturating_sub(1)),
        2 => schema["minProperties"] = json!(random.below(5)),
        3 => schema["maxProperties"] = json!(random.below(5)),
        4 => schema["dependentRequired"] = json!({"a": ["b"]}),
        _ => {}
    }
    schema
}

/// A random value of the kinds that the random schemas speak of.
fn random_value(random: &mut Random, depth: u32) -> Value {
    match random.below(if depth == 0 { 7 } else { 10 }) {
        0 => json!(null),
        1 => json!(random.below(2) == 0),
        2 | 3 => json!(random.below(12)),
        4 => json!(random.below(24) as f64 / 4.0),
        5 => json!(["", "a", "aab", "42", "yy", "zzz", "abcdef"][random.below(7) as usize]),
        6 => json!({}),
        7 => (0..random.below(6)).map(|_| random_value(random, depth - 1)).collect(),
        _ => {
            let names = ["a", "b", "c", "d", "e"].into_iter().filter(|_| random.below(2) == 0);
            let names: Vec<&str> = names.collect();
            names.into_iter().map(|name| (name, random_value(random, depth - 1))).collect()
        }
    }
}

/// Looks for a value that a refused schema admits after all.
fn assert_nothing_fits(schema: &Value, random: &mut Random) {
    let library = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    for _ in 0..300 {
        let value = random_value(random, 3);
        assert!(!library.is_valid(&value), "{schema} was refused and admits {value}");
    }
}

#[test]
fn made_values_fit_random_schemas_or_the_schema_is_refused_as_contradictory() {
    let (mut made, mut refused, mut open) = (0, 0, 0);
    for seed in 0..700 {
        let mut random = Random(seed);
        let schema = random_schema(&mut random, 3);
        match compile(&schema, &Limits::default()) {
            Ok(validator) => match validator.generate(&mut || random.next()) {
                Ok(value) => {
                    assert!(validator.check(&value).is_ok(), "seed {seed}: {schema} made {value}");
                    made += 1;
                }
                Err(error) => {
                    assert_eq!(error.code, Code::ANSWER_INVALID, "seed {seed}");
                    open += 1;
                }
            },
            Err(error) => {
                assert_eq!(error.code, Code::SCHEMA_CONTRADICTS, "seed {seed}: {schema}: {error}");
                assert_nothing_fits(&schema, &mut random);
                refused += 1;
            }
        }
    }
    // Few may be left open: neither a value nor a proof that there is none.
    assert!(made > 450 && open < 8, "made {made}, refused {refused}, open {open}");
}
