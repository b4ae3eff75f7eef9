//! `kptrsim run` from outside, on an object that clang compiled.

use std::process::{Command, Output};

use serde_json::{Value, json};

const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/percpu_slot.bpf.o");

fn kptrsim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kptrsim"));
    command.arg("run").arg(OBJECT).args(arguments).output().expect("the binary runs")
}

/// The exit code and the JSON of a run.
fn json(arguments: &[&str]) -> (i32, Value) {
    let output = kptrsim(&[arguments, &["--format", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout).expect("the output is JSON");
    (output.status.code().expect("it was not killed"), value)
}

#[test]
fn the_whole_life_of_an_object_on_any_number_of_cpus() {
    for cpus in ["1", "2", "4", "64"] {
        let set = format!("cpus={cpus}");
        let programs = ["--prog", "make", "--prog", "count", "--prog", "sum", "--prog", "take_down"];
        let (code, report) = json(&[&programs[..], &["--cpus", cpus, "--set", &set]].concat());
        assert_eq!(code, 0, "{report}");
        let results: Vec<_> = report["programs"].as_array().expect("a list").iter().map(|run| &run["retval"]).collect();
        assert_eq!(results, [0, 0, 0, 0]);
        assert_eq!(report["globals"], json!({"total": 5, "cpus": cpus.parse::<u32>().expect("a number")}));
        assert_eq!(report["maps"]["slots"], json!([{"key": 0, "value": {"generation": 1, "counter": null}}]));
        assert_eq!(report["owned"], json!([]));
        assert_eq!(report["pending"].as_array().map(Vec::len), Some(1), "the drop waits for a grace period");
    }
}

#[test]
fn what_a_field_holds_is_owned_with_all_its_copies() {
    let (code, report) = json(&["--prog", "make", "--prog", "count", "--cpus", "3", "--cpu", "2"]);
    assert_eq!(code, 0);
    let owned = &report["owned"][0];
    assert_eq!(owned["what"], "per-CPU object of struct counter");
    assert_eq!(owned["held_by"], "slots[0].counter");
    let zero = json!({"hits": 0, "misses": 0});
    assert_eq!(owned["values"], json!([zero, zero, {"hits": 5, "misses": 0}]));
    assert_eq!(owned["acquired"]["source"]["text"], "counter = bpf_percpu_obj_new(struct counter);");
}

#[test]
fn a_fault_tells_where_memory_came_from_and_went() {
    let (code, report) = json(&["--prog", "use_after_drop"]);
    assert_eq!(code, 1);
    let fault = &report["programs"][0]["fault"];
    assert_eq!(fault["kind"], "use-without-rcu");
    assert_eq!(fault["at"]["source"]["text"], "return mine->hits;");
    assert_eq!(fault["region"]["what"], "CPU 0's copy of a per-CPU object of struct counter");
    assert_eq!(fault["region"]["allocated"]["source"]["text"], "counter = bpf_percpu_obj_new(struct counter);");
    assert_eq!(fault["region"]["freed"]["source"]["text"], "bpf_percpu_obj_drop(counter);");
}

#[test]
fn a_percpu_pointer_that_is_followed_and_a_leak_are_found() {
    let (code, report) = json(&["--prog", "make", "--prog", "follow"]);
    assert_eq!((code, &report["programs"][1]["fault"]["kind"]), (1, &json!("percpu-pointer-dereference")));
    let (code, report) = json(&["--prog", "forget"]);
    assert_eq!((code, &report["programs"][0]["retval"]), (1, &json!(0)));
    assert_eq!(report["leaked"][0]["acquired"]["source"]["text"], "counter = bpf_percpu_obj_new(struct counter);");
}

#[test]
fn grace_periods_end_when_asked_to() {
    let programs = ["--prog", "make", "--prog", "take_down", "--repeat", "3"];
    let (_, late) = json(&programs);
    assert_eq!(late["pending"].as_array().map(Vec::len), Some(3));
    let (_, early) = json(&[&programs[..], &["--grace-period", "after-each"]].concat());
    assert_eq!(early["pending"], json!([]));
    assert_eq!(early["maps"]["slots"][0]["value"]["generation"], 3);
}

#[test]
fn text_and_runs_are_the_same_every_time() {
    let run = || kptrsim(&["--prog", "make", "--prog", "count", "--prog", "sum", "--set", "cpus=2", "--cpus", "2"]);
    let first = run();
    assert_eq!(first.stdout, run().stdout);
    let text = String::from_utf8(first.stdout).expect("text");
    assert!(text.contains("sum on CPU 0: returned 0\n"), "{text}");
    assert!(text.contains("  total = 5\n"), "{text}");
}

#[test]
fn wrong_use_is_told_in_one_line() {
    for (arguments, message) in [
        (&["--prog", "none"][..], "has no program none; it has make"),
        (&[][..], "name a program with --prog"),
        (&["--prog", "make", "--set", "none=1"][..], "no global variable `none`"),
        (&["--prog", "make", "--cpus", "0"][..], "0 CPUs are not possible"),
        (&["--prog", "make", "--cpu", "4"][..], "there is no CPU 4"),
    ] {
        let output = kptrsim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(message), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn a_limit_is_no_verdict() {
    let (code, report) = json(&["--prog", "make", "--max-insns", "3"]);
    assert_eq!(code, 3);
    assert_eq!(report["programs"][0]["limit"]["at"]["insn"], 3);
}
