//! Generated programs: what is written of them loads as it was meant, and what is well formed is accepted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kptrsim::isa::RawInsn;
use kptrsim::kernel::{Profile, Tables};
use kptrsim::object::Object;
use kptrsim::soundness::emission::Batch;
use kptrsim::soundness::program::{Code, End, Function, Line, MutationKind, Program, Reference, Statement, lower};
use kptrsim::strategies::{Config, Drawn, Families, generate, objects, programs};
use kptrsim::verifier::{ObjectVerifier, Options, Verdict};
use proptest::prelude::prop_assert;
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestError, TestRng, TestRunner};

/// How many programs each test draws; a longer run sets it.
fn cases(usual: u64) -> u64 {
    std::env::var("KPTRSIM_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What became of programs, by verdict.
#[derive(Debug, Default)]
struct Tally {
    accepted: u32,
    rejected: u32,
    unsupported: u32,
    reasons: BTreeMap<String, (u32, u64)>,
}

fn judge(config: &Config, seeds: std::ops::Range<u64>) -> Tally {
    judge_for(&Profile::embedded(), config, seeds)
}

fn judge_for(profile: &Profile, config: &Config, seeds: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seeds in seeds.collect::<Vec<_>>().chunks(50) {
        let codes: Vec<Code> = seeds.iter().map(|&seed| lower(&generate(config, seed))).collect();
        let bytes = Batch::numbered(&codes, profile.tables()).and_then(|batch| batch.object()).expect("it is written");
        let object = Object::parse("generated", &bytes, &profile.load_options()).expect("it loads");
        assert_eq!(object.programs.len(), codes.len());
        kptrsim::btf::check::check(object.btf.as_ref().expect("it has types")).expect("the kernel takes them");
        let verifier = ObjectVerifier::new(&object, profile, Options::default());
        for (program, seed) in object.programs.iter().zip(seeds) {
            assert!(program.refused.is_none(), "{:?}", program.refused);
            let reason = match verifier.verify(program).verdict {
                Verdict::Accept => {
                    tally.accepted += 1;
                    continue;
                }
                Verdict::Reject(rejection) => {
                    tally.rejected += 1;
                    rejection.rule.id().to_owned()
                }
                Verdict::Unsupported(what) => {
                    tally.unsupported += 1;
                    format!("unsupported: {what}")
                }
            };
            tally.reasons.entry(reason).or_insert((0, *seed)).0 += 1;
        }
    }
    tally
}

#[test]
fn well_formed_programs_are_accepted() {
    for families in [Families::default(), Families::NUMBERS, Families::OWNERSHIP] {
        let tally = judge(&Config { families, ..Config::default() }, 0..cases(400));
        println!("{tally:#?}");
        assert!(tally.accepted * 100 >= 97 * (tally.accepted + tally.rejected + tally.unsupported));
    }
}

#[test]
fn mutated_programs_are_split() {
    let tally = judge(&Config::default().mutated(), 0..cases(400));
    println!("{tally:#?}");
    assert!(tally.accepted > 0 && tally.rejected > 0);
    for kind in [MutationKind::SkipRelease, MutationKind::DoubleRelease, MutationKind::SkipUnlock] {
        let config =
            Config { families: Families::OWNERSHIP, mutation_kinds: vec![kind], ..Config::default().mutated() };
        let tally = judge(&config, 0..cases(100));
        println!("{kind:?} {tally:#?}");
        assert!(tally.rejected > 0, "{kind:?}");
    }
}

/// A user's own kernel functions: what `--kfuncs` reads is called, and what is owned of it must be given back.
#[test]
fn kernel_functions_of_a_user_are_called() {
    let text = r#"
        [[kfunc]]
        name = "thing_new"
        prototype = "struct thing *thing_new(u32 key)"
        flags = ["acquire", "ret_null"]
        programs = ["any"]
        [[kfunc]]
        name = "thing_put"
        prototype = "void thing_put(struct thing *thing)"
        flags = ["release"]
        programs = ["any"]
        [[kfunc]]
        name = "thing_fill"
        prototype = "int thing_fill(struct thing *thing, void *bytes, u32 bytes__sz, u64 flags__k)"
        flags = ["trusted_args"]
        programs = ["sched_cls", "xdp"]
        [[struct]]
        name = "thing"
        size = 8
        complete = true
        fields = [{ offset = 0, declaration = "u64 value" }]
    "#;
    let tables = Tables::with_text(Path::new("thing.toml"), text).expect("the description is right");
    let profile = Profile::with_tables(tables.clone());
    let families = Families { kfuncs: 40, arithmetic: 10, ..Families::NONE };
    let config = Config { families, ..Config::default() }.with_kfuncs(&tables);
    assert_eq!(config.kfuncs.len(), 2);
    let calls = |seed| {
        let code = lower(&generate(&config, seed));
        let lines = code.functions.into_iter().flat_map(|function| function.lines);
        lines.filter(|line| matches!(line.reference, Some(Reference::Kfunc(_)))).count()
    };
    assert!((0..100).map(calls).sum::<usize>() > 200);
    let tally = judge_for(&profile, &config, 0..cases(200));
    println!("{tally:#?}");
    assert!(tally.accepted * 100 >= 97 * (tally.accepted + tally.rejected + tally.unsupported));
    let config = Config { mutation_kinds: vec![MutationKind::SkipRelease], ..config.mutated() };
    assert!(judge_for(&profile, &config, 0..cases(100)).rejected > 20);
}

/// What fails shrinks to the few statements that make it fail.
#[test]
fn a_failure_shrinks_to_what_makes_it_fail() {
    let leaks = |program: &Program| {
        let code = lower(program);
        let called = |name: &str| {
            let lines = code.functions.iter().flat_map(|function| &function.lines);
            lines.filter(|line| line.reference == Some(Reference::Kfunc(name.to_owned()))).count()
        };
        called("bpf_percpu_obj_new_impl") > called("bpf_percpu_obj_drop_impl")
    };
    let mutation_kinds = vec![MutationKind::SkipRelease];
    let config = Config { families: Families::OWNERSHIP, mutation_kinds, ..Config::default().mutated() };
    let mut runner = TestRunner::new_with_rng(
        RunnerConfig { cases: 2_000, max_shrink_iters: 100_000, failure_persistence: None, ..RunnerConfig::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, b"kptrsim: programs that leak 0001"),
    );
    let error = runner.run(&programs(config), |program| {
        prop_assert!(!leaks(&program));
        Ok(())
    });
    let Err(TestError::Fail(_, smallest)) = error else { panic!("{error:?}") };
    assert!(leaks(&smallest));
    assert_eq!((smallest.body.len(), smallest.mutations.len()), (1, 1), "{smallest:#?}");
    assert!(matches!(&smallest.body[0], Statement::PercpuNew { body, end: End::Drop, .. } if body.is_empty()));
}

/// What `proptest` prints of a failure is assembly: clang makes the very object of it that failed.
#[test]
fn a_failure_is_printed_as_assembly() {
    let profile = Profile::embedded();
    let rejected = |drawn: &Drawn| {
        let bytes = drawn.object().expect("it is written");
        let object = Object::parse("drawn", &bytes, &profile.load_options()).expect("it loads");
        let verdict = ObjectVerifier::new(&object, &profile, Options::default()).verify(&object.programs[0]).verdict;
        matches!(verdict, Verdict::Reject(rejection) if rejection.rule.id() == "unreleased-reference")
    };
    let mutation_kinds = vec![MutationKind::SkipRelease];
    let config = Config { families: Families::OWNERSHIP, mutation_kinds, ..Config::default().mutated() };
    let mut runner = TestRunner::new_with_rng(
        RunnerConfig { cases: 500, max_shrink_iters: 20_000, failure_persistence: None, ..RunnerConfig::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, b"kptrsim: assembly of what failed"),
    );
    let error = runner.run(&objects(config, Arc::new(profile.tables().clone())), |drawn| {
        prop_assert!(!rejected(&drawn));
        Ok(())
    });
    let Err(TestError::Fail(_, smallest)) = error else { panic!("{error:?}") };
    let printed = format!("{smallest:?}");
    println!("{printed}");
    let file = tempfile::Builder::new().suffix(".s").tempfile().expect("a file");
    std::fs::write(file.path(), &printed).expect("it is written");
    let assembled = kptrsim::object::compile::compile(file.path()).expect("clang takes it");
    let written = smallest.object().expect("it is written");
    assert_eq!(instructions(&assembled, &profile), instructions(&written, &profile));
}

#[test]
fn the_same_seed_gives_the_same_program() {
    let config = Config::default().mutated();
    for seed in 0..cases(200) {
        assert_eq!(lower(&generate(&config, seed)), lower(&generate(&config, seed)));
    }
}

/// Instructions and names of an object's programs.
fn instructions(bytes: &[u8], profile: &Profile) -> BTreeMap<String, Vec<RawInsn>> {
    let object = Object::parse("generated", bytes, &profile.load_options()).expect("it loads");
    object.programs.iter().map(|program| (program.name.clone(), program.insns.clone())).collect()
}

/// What the object holds of each program is what was lowered, with maps and kernel functions by their place.
#[test]
fn an_object_holds_the_instructions_that_were_lowered() {
    let profile = Profile::embedded();
    let codes: Vec<Code> = (0..cases(300)).map(|seed| lower(&generate(&Config::default().mutated(), seed))).collect();
    let bytes = Batch::numbered(&codes, profile.tables()).and_then(|batch| batch.object()).expect("it is written");
    let found = instructions(&bytes, &profile);
    for (index, code) in codes.iter().enumerate() {
        let insns = &found[&format!("p{index:04}")];
        let entry = &code.functions[0];
        assert!(insns.len() >= entry.slots().count());
        for (line, insn) in slots_with_lines(entry).zip(insns) {
            match line {
                (Some(line), _) if line.reference.is_some() => {
                    assert_eq!((line.raw.opcode, line.raw.dst), (insn.opcode, insn.dst));
                }
                (_, raw) => assert_eq!(raw, *insn),
            }
        }
    }
}

/// A function's slots, each first one with its line.
fn slots_with_lines(function: &Function) -> impl Iterator<Item = (Option<&Line>, RawInsn)> {
    function
        .lines
        .iter()
        .flat_map(|line| std::iter::once((Some(line), line.raw)).chain(line.high.map(|high| (None, high))))
}

/// Clang makes of the text what is written as an object.
#[test]
fn assembly_text_is_the_same_object() {
    let profile = Profile::embedded();
    for config in [Config::default(), Config::default().mutated()] {
        let codes: Vec<Code> = (0..cases(150)).map(|seed| lower(&generate(&config, seed))).collect();
        let batch = Batch::numbered(&codes, profile.tables()).expect("types fit");
        let file = tempfile::Builder::new().suffix(".s").tempfile().expect("a file");
        std::fs::write(file.path(), batch.assembly()).expect("it is written");
        let assembled = kptrsim::object::compile::compile(file.path()).expect("clang takes it");
        let written = batch.object().expect("it is written");
        assert_eq!(instructions(&assembled, &profile), instructions(&written, &profile));
    }
}

/// Writes objects of 200 programs each into the folder that `KPTRSIM_GENERATED` names, for `kptrsim crosscheck`.
#[test]
#[ignore = "writes files"]
fn write_objects() {
    let folder = std::env::var("KPTRSIM_GENERATED").expect("a folder is named");
    let profile = Profile::embedded();
    let ownership = Config { families: Families::OWNERSHIP, ..Config::default() };
    let numbers = Config { families: Families::NUMBERS, ..Config::default() };
    let configs = [("all", Config::default()), ("ownership", ownership), ("numbers", numbers)];
    for (name, config) in configs {
        for (suffix, config) in [("formed", config.clone()), ("off", config.mutated())] {
            let codes: Vec<Code> = (0..cases(200)).map(|seed| lower(&generate(&config, 1_000_000 + seed))).collect();
            let bytes = Batch::numbered(&codes, profile.tables()).and_then(|batch| batch.object()).expect("written");
            let object = Object::parse("generated", &bytes, &profile.load_options()).expect("it loads");
            println!("{name} {:?}", kptrsim::btf::check::check(object.btf.as_ref().expect("types")));
            std::fs::write(format!("{folder}/{name}_{suffix}.bpf.o"), bytes).expect("the folder is there");
            let text = Batch::numbered(&codes, profile.tables()).expect("types fit").assembly();
            std::fs::write(format!("{folder}/{name}_{suffix}.bpf.s"), text).expect("the folder is there");
        }
    }
}
