//! Whatever a branch and the workspace did: a dry run says that it fits exactly when applying succeeds, and what was
//! not applied changed nothing.

use crate::applying::apply;
use crate::support::{Place, write};
use loopwright_worktrees::Fate;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

const PATHS: [&str; 7] = ["a", "b", "d/a", "d/b", "d/e/c", "f", "ü x"];

fn clear(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
}

/// One random act in a directory of files.
fn act(random: &mut Random, top: &Path) {
    let name = PATHS[random.below(PATHS.len())];
    let path = top.join(name);
    for above in path.ancestors().skip(1).take_while(|above| *above != top) {
        if fs::symlink_metadata(above).is_ok_and(|metadata| !metadata.is_dir()) {
            clear(above);
        }
    }
    let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
    match random.below(8) {
        0 => clear(&path),
        1 => {
            clear(&path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(PATHS[random.below(PATHS.len())], &path).unwrap();
        }
        2 if is_file => {
            let mode = [0o644, 0o755][random.below(2)];
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        3 => {
            clear(&path);
            write(&path, [0, u8::try_from(random.below(3)).unwrap()]);
        }
        4 => {
            clear(&path);
            write(&path.join("inner"), "inner\n");
        }
        _ if is_file => {
            let text = fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.is_empty() {
                lines.push(String::new());
            }
            let at = random.below(lines.len());
            lines[at] = format!("changed {}", random.below(3));
            write(&path, lines.join("\n") + "\n");
        }
        _ => {
            clear(&path);
            write(&path, "fresh\n");
        }
    }
}

#[test]
fn a_dry_run_says_that_it_fits_exactly_when_applying_succeeds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("LOOPWRIGHT_WORKTREE_SEEDS").unwrap_or(25);
    let seeds = match number("LOOPWRIGHT_WORKTREE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    let (mut applied, mut refused, mut merged) = (0, 0, 0);
    for seed in seeds.clone() {
        let mut random = Random(seed);
        let text: String = (0..12).map(|line| format!("line {line}\n")).collect();
        let place = Place::new(&[("a", &*text), ("d/a", &text), ("d/e/c", &text), ("f", "f\n")]);
        println!("LOOPWRIGHT_WORKTREE_SEED={seed}");
        let acts = 1 + random.below(4);
        let branch = place.branch(0, |top| {
            write(&top.join("always"), "changed\n");
            (0..acts).for_each(|_| act(&mut random, top));
        });
        for _ in 0..random.below(4) {
            act(&mut random, &place.workspace);
            if random.below(3) == 0 {
                place.commit("moves on");
            }
        }
        match apply(&place, &branch) {
            Ok(report) => {
                applied += 1;
                merged += usize::from(report.files.iter().any(|file| file.fate == Fate::Merged));
                // Applying again finds everything there.
                let again = apply(&place, &branch);
                assert!(again.is_ok() || merged > 0, "{again:?}");
            }
            Err(_) => refused += 1,
        }
    }
    println!("{applied} applied, {merged} of them merged, {refused} refused");
    if seeds.end - seeds.start >= 25 {
        assert!(applied > 5 && refused > 2, "{applied} applied, {refused} refused");
    }
}
