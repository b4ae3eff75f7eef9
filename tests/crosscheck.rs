//! The judge against a real kernel: boots QEMU, so it runs only when `KPTRSIM_TEST_KERNEL` is 1.
//!
//! Needs QEMU, clang, a kernel in the cache (`kptrsim kernel fetch 6.12`, or `KPTRSIM_TEST_IMAGE` names a bzImage), and what
//! the guest is built from (or `KPTRSIM_GUEST`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use kptrsim::crosscheck::protocol::{GlobalSetting, GlobalValue, RunStep, TestRunRequest, Trigger, Verdict};
use kptrsim::crosscheck::{
    BootOptions, Cache, CrosscheckError, Judge, KernelImage, LoadJob, LoadOptions, ObjectOutcome, Vm, guest,
};
use libtest_mimic::{Arguments, Failed, Trial};

/// One program for each verdict, and some to run.
const PROGRAMS: &str = r#"
#define SEC(name) __attribute__((section(name), used))
static long (*const get_current_pid_tgid)(void) = (void *)14;
static void *(*const map_lookup_elem)(void *map, const void *key) = (void *)1;
int count, my_pid;
const volatile int step = 1;
struct { int (*type)[2]; int (*max_entries)[2]; int *key; long *value; } table SEC(".maps");
SEC("socket") int returns_seven(void *ctx) { return 7; }
SEC("socket") int reads_null(void *ctx) { return *(volatile int *)0; }
SEC("fentry/no_such_function") int no_target(void *ctx) { return 0; }
SEC("fentry/bpf_fentry_test1") int counts(void *ctx)
{
	int key = 1;
	long *value = map_lookup_elem(&table, &key);
	if ((get_current_pid_tgid() >> 32) != my_pid)
		return 0;
	count += step;
	if (value)
		*value = count * 16;
	return 0;
}
SEC("fentry/bpf_fentry_test2") int doubles(void *ctx)
{
	if ((get_current_pid_tgid() >> 32) == my_pid)
		count *= 2;
	return 0;
}
char _license[] SEC("license") = "GPL";
"#;

/// A program that takes the verifier far more than a second: a loop whose states never repeat.
const SLOW: &str = r#"
#define SEC(name) __attribute__((section(name), used))
static unsigned (*const get_prandom_u32)(void) = (void *)7;
SEC("socket") int slow(void *ctx)
{
	unsigned long sum = 0;
	for (volatile int i = 0; i < 300000; i++)
		sum += get_prandom_u32();
	return sum;
}
char _license[] SEC("license") = "GPL";
"#;

/// A test of ours.
type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let wanted = env::var("KPTRSIM_TEST_KERNEL").is_ok_and(|value| value == "1");
    if !wanted {
        eprintln!("tests with a real kernel are skipped: set KPTRSIM_TEST_KERNEL=1 to boot one under QEMU");
    }
    let tests: [(&str, Test); 6] = [
        ("verdicts_come_back", verdicts_come_back),
        ("programs_run_and_maps_come_back", programs_run_and_maps_come_back),
        ("broken_objects_do_not_end_the_session", broken_objects_do_not_end_the_session),
        ("a_slow_program_is_given_up", a_slow_program_is_given_up),
        ("a_panic_is_an_error_with_the_console", a_panic_is_an_error_with_the_console),
        ("a_silent_guest_is_given_up", a_silent_guest_is_given_up),
    ];
    let trials = tests.map(|(name, test)| Trial::test(name, test).with_ignored_flag(!wanted));
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments }, trials.into()).exit_code()
}

fn image() -> Result<KernelImage, CrosscheckError> {
    match env::var_os("KPTRSIM_TEST_IMAGE") {
        Some(path) => KernelImage::open(Path::new(&path)),
        None => Cache::of_user()?.default_kernel(),
    }
}

fn options() -> Result<BootOptions, CrosscheckError> {
    let guest = guest::locate(&Cache::of_user()?, None, &mut |line| eprintln!("{line}"))?;
    Ok(BootOptions::new(guest))
}

fn compile(source: &str) -> Result<Vec<u8>, Failed> {
    let folder = tempfile::tempdir()?;
    let (input, output) = (folder.path().join("program.bpf.c"), folder.path().join("program.bpf.o"));
    fs::write(&input, source)?;
    let clang = ["clang-19", "clang"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let status = Command::new(clang.ok_or("clang is missing: run `apt-get install clang-19`")?)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-c"])
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .status()?;
    if !status.success() {
        return Err("clang failed".into());
    }
    Ok(fs::read(output)?)
}

fn ask(jobs: Vec<LoadJob>, options: &LoadOptions) -> Result<Vec<ObjectOutcome>, Failed> {
    let mut judge = Judge::new(image()?, self::options()?);
    let mut outcomes = Vec::new();
    judge.load(jobs, options, |outcome| outcomes.push(outcome))?;
    outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(outcomes)
}

fn job(name: &str, bytes: Vec<u8>) -> LoadJob {
    LoadJob { name: name.into(), bytes, programs: Vec::new() }
}

fn verdicts_come_back() -> Result<(), Failed> {
    let options = LoadOptions { log_level: 1, want_log: true, want_insns: true, ..LoadOptions::default() };
    let outcomes = ask(vec![job("a", compile(PROGRAMS)?)], &options)?;
    let of = |name: &str| {
        let verdict = outcomes[0].verdicts.iter().find(|verdict| verdict.program.program == name);
        verdict.ok_or_else(|| Failed::from(format!("no verdict on {name}")))
    };
    assert_eq!(of("counts")?.kernel, image()?.release, "the exact build stands with the verdict");
    let accepted = &of("returns_seven")?.program;
    assert_eq!((accepted.verdict, accepted.errno, accepted.reason.as_str()), (Verdict::Accept, 0, ""));
    assert_eq!(accepted.stats.as_ref().map(|stats| stats.insns_processed), Some(2));
    assert_eq!(accepted.insns.as_deref(), Some("b4000000070000009500000000000000"));
    let rejected = &of("reads_null")?.program;
    assert_eq!((rejected.verdict, rejected.errno), (Verdict::Reject, 13));
    assert_eq!(rejected.reason, "R1 invalid mem access 'scalar'");
    assert_eq!(rejected.last_insn, Some(1));
    assert!(rejected.log.as_ref().is_some_and(|log| log.contains("R1 invalid mem access 'scalar'\n")));
    let unreached = &of("no_target")?.program;
    assert_eq!(unreached.verdict, Verdict::NotReached);
    assert!(unreached.reason.contains("no_such_function"), "{}", unreached.reason);
    assert_eq!(of("counts")?.program.verdict, Verdict::Accept);
    Ok(())
}

fn programs_run_and_maps_come_back() -> Result<(), Failed> {
    let object = compile(PROGRAMS)?;
    let step = |program: &str| RunStep {
        program: program.into(),
        trigger: Trigger::Auto,
        data_in: None,
        ctx_in: None,
        repeat: 0,
        cpu: Some(1),
    };
    let set = |name: &str, value| GlobalSetting { name: name.into(), offset: 0, value };
    let request = TestRunRequest {
        globals: vec![set("my_pid", GlobalValue::Pid), set("step", GlobalValue::Int(3))],
        steps: ["counts", "doubles", "counts", "returns_seven"].map(step).into(),
        companions: Vec::new(),
        timeout_seconds: 60,
    };
    let mut judge = Judge::new(image()?, options()?);
    let result = judge.test_run(&object, request.clone())?;
    assert_eq!(result.error, None);
    assert_eq!(result.steps.iter().map(|step| step.errno).collect::<Vec<_>>(), [0; 4]);
    assert_eq!(result.steps[3].retval, 7);
    let map = |name: &str| {
        let map = result.maps.iter().find(|map| map.name == name);
        map.ok_or_else(|| Failed::from(format!("no map {name}")))
    };
    // (0 + 3) * 2 + 3: each program ran once for each of its steps, and for nobody else's.
    let count = map(".bss")?.variables.iter().find(|variable| variable.name == "count").ok_or("no count")?;
    let at = count.offset as usize * 2;
    assert_eq!(&map(".bss")?.entries[0].values[0][at..at + 8], "09000000");
    assert_eq!(map(".rodata")?.entries[0].values, ["03000000"]);
    let table = map("table")?;
    assert_eq!(table.entries.len(), 2);
    assert_eq!(table.entries[1].key, "01000000");
    assert_eq!(table.entries[1].values, ["9000000000000000"]);

    let unknown = TestRunRequest { globals: vec![set("nothing", GlobalValue::Int(1))], ..request };
    let refused = judge.test_run(&object, unknown)?;
    assert_eq!(refused.error.as_deref(), Some("the object has no global 'nothing'"));
    Ok(())
}

fn broken_objects_do_not_end_the_session() -> Result<(), Failed> {
    let good = compile(PROGRAMS)?;
    let mut jobs = vec![job("empty", Vec::new()), job("junk", b"no object".to_vec()), job("zgood", good.clone())];
    for percent in [20, 50, 80] {
        jobs.push(job(&format!("cut at {percent}%"), good[..good.len() * percent / 100].to_vec()));
    }
    let outcomes = ask(jobs, &LoadOptions::default())?;
    assert_eq!(outcomes.len(), 6);
    let (last, broken) = outcomes.split_last().ok_or("no outcomes")?;
    for outcome in broken {
        assert!(!outcome.failures.is_empty(), "{} was not refused", outcome.name);
    }
    assert_eq!(last.failures, Vec::<String>::new());
    assert_eq!(last.verdicts.len(), 5);
    Ok(())
}

fn a_slow_program_is_given_up() -> Result<(), Failed> {
    let options = LoadOptions { timeout: Duration::from_secs(1), ..LoadOptions::default() };
    let outcomes = ask(vec![job("slow", compile(SLOW)?)], &options)?;
    let program = &outcomes[0].verdicts[0].program;
    assert_eq!((program.verdict, program.reason.as_str()), (Verdict::NotReached, "gave no answer within 1 s"));
    Ok(())
}

fn a_panic_is_an_error_with_the_console() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let no_program: PathBuf = folder.path().join("init");
    fs::write(&no_program, "not a program")?;
    match Vm::boot(&image()?, &BootOptions::new(no_program)) {
        Err(CrosscheckError::Died { console, .. }) => assert!(console.contains("Kernel panic"), "{console}"),
        other => return Err(format!("a machine without a guest should panic: {other:?}").into()),
    }
    Ok(())
}

fn a_silent_guest_is_given_up() -> Result<(), Failed> {
    let patience = Duration::from_millis(200);
    match Vm::boot(&image()?, &BootOptions { boot_timeout: patience, ..options()? }) {
        Err(CrosscheckError::Timeout { after, .. }) => assert_eq!(after, patience),
        other => return Err(format!("no kernel boots that quickly: {other:?}").into()),
    }
    Ok(())
}
