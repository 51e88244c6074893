// SPDX-License-Identifier: GPL-2.0-or-later

//! Case after case, until one shows a difference; that one is made smaller.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::case::{Case, cases};
use crate::libraries::Pairs;
use crate::memory::Mismatch;
use crate::options::Options;
use crate::rules::Applied;
use crate::run;

/// What was run.
#[derive(Default)]
pub struct Done {
    pub ops: u64,
    pub cases: u64,
    pub rules: Applied,
}

/// A case that shows a difference.
pub struct Failure {
    pub number: u64,
    /// How many operations were run before it was found.
    pub ops: u64,
    pub case: Case,
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    ops: AtomicU64,
    stop: AtomicBool,
    failure: Mutex<Option<Failure>>,
    rules: Mutex<Applied>,
}

/// Runs cases as the options have it.
pub fn search(pairs: &Pairs, options: &Options) -> Result<Done, Failure> {
    let shared = Shared {
        next: AtomicU64::new(options.case.unwrap_or(0)),
        ops: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        failure: Mutex::new(None),
        rules: Mutex::new(Applied::default()),
    };
    thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| work(pairs, options, &shared));
        }
    });
    match shared.failure.into_inner().expect("no panic") {
        Some(failure) => Err(failure),
        None => Ok(Done {
            ops: shared.ops.into_inner(),
            cases: shared.next.into_inner() - options.case.unwrap_or(0),
            rules: shared.rules.into_inner().expect("no panic"),
        }),
    }
}

fn work(pairs: &Pairs, options: &Options, shared: &Shared) {
    let rules = RefCell::new(Applied::without(options.without));
    while !shared.stop.load(Relaxed) && shared.ops.load(Relaxed) < options.ops {
        let number = shared.next.fetch_add(1, Relaxed);
        if let Err(failure) = try_case(pairs, options, number, &rules, shared) {
            shared
                .failure
                .lock()
                .expect("no panic")
                .get_or_insert(failure);
            shared.stop.store(true, Relaxed);
        }
        if options.case.is_some() {
            break;
        }
    }
    shared.rules.lock().expect("no panic").add(&rules.borrow());
}

/// One case: its number and the seed say what it is.
fn try_case(
    pairs: &Pairs,
    options: &Options,
    number: u64,
    rules: &RefCell<Applied>,
    shared: &Shared,
) -> Result<(), Failure> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&options.seed.to_le_bytes());
    seed[8..16].copy_from_slice(&number.to_le_bytes());
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: if options.as_found { 0 } else { 50_000 },
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let case = cases()
        .new_tree(&mut runner)
        .expect("every case can be drawn");
    let found = runner.run_one(case, |case| {
        let pairs = pairs.of(case.queue.wraps);
        if pairs.is_empty() {
            return Ok(());
        }
        for pair in pairs {
            run::run(pair, &case, &mut rules.borrow_mut(), None)
                .map_err(|Mismatch(what)| TestCaseError::fail(what))?;
        }
        shared.ops.fetch_add(case.steps.len() as u64, Relaxed);
        Ok(())
    });
    match found {
        Ok(_) => Ok(()),
        Err(TestError::Fail(_, case)) => Err(Failure {
            number,
            ops: shared.ops.load(Relaxed),
            case,
        }),
        Err(TestError::Abort(why)) => unreachable!("nothing is rejected: {why}"),
    }
}
