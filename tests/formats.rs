//! The formats of the command line, each held against what defines it: JSON against `docs/schema`, SARIF against its OASIS schema, CSV
//! against veristat's columns, annotations and graphs against the source that they point to.
//!
//! What has to be compiled needs clang, and schemas are checked by Python's `jsonschema`; without them those trials show as
//! ignored, or fail with `KPTRSIM_REQUIRE_CLANG=1` and `KPTRSIM_REQUIRE_JSONSCHEMA=1`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const SCHEMA: &str = include_str!("../docs/schema/kptrsim-1.schema.json");
const SARIF: &str = include_str!("formats/sarif-2.1.0.schema.json");
const COUNTER: &str = "examples/percpu_counter.bpf.o";
const REJECTED: &str = "tests/programs/reject/this_cpu_after_unlock.bpf.c";
const CREATE_TWICE: [&str; 6] = [COUNTER, "--on", "0:create", "--on", "1:create", "--set=nr_cpus=2"];

type Outcome = Result<(), Failed>;

/// A check, and what it needs beside the binary.
type Check = (&'static str, fn() -> Outcome, &'static [Need]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Clang,
    Schemas,
}

const CHECKS: [Check; 14] = [
    ("json accepted", accepted_fits_the_schema, &[Need::Schemas]),
    ("json findings", findings_fit_the_schema, &[Need::Schemas]),
    ("json rejected", rejected_fits_the_schema, &[Need::Schemas, Need::Clang]),
    ("json of the other commands", other_commands_fit_the_schema, &[Need::Schemas, Need::Clang]),
    ("json says each of its records", every_record_is_described, &[]),
    ("sarif findings", findings_are_sarif, &[Need::Schemas]),
    ("sarif rejected", rejection_is_sarif, &[Need::Schemas, Need::Clang]),
    ("github findings", findings_are_annotations, &[]),
    ("github rejected", rejection_is_an_annotation, &[Need::Clang]),
    ("csv and compare", csv_is_compared, &[Need::Schemas]),
    ("graph", graphs_are_drawn, &[]),
    ("graph rejected", rejection_is_drawn, &[Need::Clang]),
    ("manual", manual_and_completions, &[]),
    ("source files", sources_find_headers_and_options, &[Need::Clang]),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let set = |name: &str| std::env::var(name).is_ok_and(|value| value == "1");
    let clang = set("KPTRSIM_REQUIRE_CLANG") || Command::new("clang-19").arg("--version").output().is_ok();
    let schemas = set("KPTRSIM_REQUIRE_JSONSCHEMA") || python().is_some();
    let trials = CHECKS.into_iter().map(|(name, check, needs)| {
        let there = needs.iter().all(|need| if *need == Need::Clang { clang } else { schemas });
        Trial::test(name, check).with_ignored_flag(!there)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A Python that has `jsonschema`.
fn python() -> Option<&'static str> {
    let has = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import jsonschema"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has)
}

/// Holds documents, one a line, against a schema: a line for each thing that is wrong.
const VALIDATE: &str = r"
import json, sys
from jsonschema.validators import validator_for
schema = json.load(open(sys.argv[1]))
kind = validator_for(schema)
kind.check_schema(schema)
for line in sys.stdin:
    for error in kind(schema).iter_errors(json.loads(line)):
        for inner in [error] + sorted(error.context or [], key=lambda one: one.relative_schema_path):
            print(inner.json_path, inner.message[:400])
";

fn validate(schema: &Value, documents: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (schema_file, input) = (folder.path().join("schema.json"), folder.path().join("documents.jsonl"));
    fs::write(&schema_file, schema.to_string())?;
    fs::write(&input, documents)?;
    let python = python().ok_or("there is no Python with jsonschema")?;
    let output =
        Command::new(python).args(["-c", VALIDATE]).arg(&schema_file).stdin(fs::File::open(&input)?).output()?;
    let problems = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    check(output.status.success() && problems.is_empty(), format!("{problems}{errors}"))
}

fn kptrsim(words: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new(env!("CARGO_BIN_EXE_kptrsim")).current_dir(TOP).args(words).output()?)
}

/// What a command prints; fails unless it exits with that code.
fn printed(code: i32, words: &[&str]) -> Result<String, Failed> {
    let output = kptrsim(words)?;
    if output.status.code() != Some(code) {
        return Err(format!("{words:?}: {:?}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn check(holds: bool, what: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(what.into().into()) }
}

/// The schema, but that no member may be there which it does not describe.
fn strict() -> Result<Value, Failed> {
    fn close(value: &mut Value) {
        if let Some(object) = value.as_object_mut() {
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            object.values_mut().for_each(close);
        } else if let Some(list) = value.as_array_mut() {
            list.iter_mut().for_each(close);
        }
    }
    let mut schema: Value = serde_json::from_str(SCHEMA)?;
    close(&mut schema);
    Ok(schema)
}

/// Every line is a record of the schema; the names of the records.
fn records(text: &str) -> Result<Vec<String>, Failed> {
    let names = text.lines().map(|line| {
        let record: Value = serde_json::from_str(line)?;
        Ok(record["record"].as_str().ok_or("a record without a name")?.to_owned())
    });
    let names: Vec<String> = names.collect::<Result<_, Failed>>()?;
    check(!names.is_empty(), "nothing was printed")?;
    // The definition that a record names tells more about what is wrong than a choice among all.
    let mut schema = strict()?;
    for name in BTreeSet::from_iter(&names) {
        schema["oneOf"] = serde_json::json!([{"$ref": format!("#/$defs/{name}")}]);
        let own = text.lines().zip(&names).filter(|(_, one)| *one == name).map(|(line, _)| format!("{line}\n"));
        validate(&schema, &own.collect::<String>())?;
    }
    Ok(names)
}

fn accepted_fits_the_schema() -> Outcome {
    let names = records(&printed(0, &["verify", COUNTER, "--format", "json", "--log-level", "1"])?)?;
    check(names == ["verdict"; 4], format!("{names:?}"))?;
    let run = ["run", COUNTER, "--prog=create", "--prog=destroy", "--set=nr_cpus=4", "--format=json"];
    let names = records(&printed(0, &run)?)?;
    check(names == ["run"], format!("{names:?}"))?;
    let names = records(&printed(0, &["contain", COUNTER, "--prog", "count", "--runs", "4", "--format", "json"])?)?;
    check(names == ["containment"], format!("{names:?}"))
}

fn findings_fit_the_schema() -> Outcome {
    let text = printed(1, &[&["explore"], &CREATE_TWICE[..], &["--format", "json"]].concat())?;
    let names: BTreeSet<String> = records(&text)?.into_iter().collect();
    check(names == ["coverage", "finding", "outcome"].map(str::to_owned).into(), format!("{names:?}"))?;
    let first: Value = serde_json::from_str(text.lines().next().unwrap_or_default())?;
    let token = first["shortest"].as_str().ok_or("no token")?;
    let names = records(&printed(1, &[&["replay", token], &CREATE_TWICE[1..], &["--format=json"]].concat())?)?;
    check(names == ["replay"], format!("{names:?}"))?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("part.jsonl");
    fs::write(&file, &text)?;
    let merged = printed(1, &["merge", &file.to_string_lossy()])?;
    check(merged == text, "merging one whole result changes it")
}

fn rejected_fits_the_schema() -> Outcome {
    let text = printed(1, &["verify", REJECTED, "--format", "json", "--log-level", "2"])?;
    records(&text)?;
    let verdict: Value = serde_json::from_str(&text)?;
    check(verdict["rule"] == "argument-type" && verdict["source"]["line"] == 27, text)
}

fn other_commands_fit_the_schema() -> Outcome {
    let names = records(&printed(1, &["witness", REJECTED, "--format", "json"])?)?;
    check(names == ["witness"], format!("{names:?}"))?;
    let fault = printed(1, &["run", "tests/programs/run/faulting_read_past_copy.bpf.c", "--format", "json"])?;
    records(&fault)?;
    let scenario = "tests/scenarios/initialise_twice.toml";
    let names = records(&printed(1, &["explore", scenario, "--format", "json"])?)?;
    check(names.contains(&"finding".to_owned()), format!("{names:?}"))
}

/// The schema's list of records has all that the source names, and no other.
fn every_record_is_described() -> Outcome {
    let schema: Value = serde_json::from_str(SCHEMA)?;
    let listed = schema["oneOf"].as_array().ok_or("no list")?.iter();
    let listed: BTreeSet<String> =
        listed.filter_map(|one| one["$ref"].as_str()?.rsplit('/').next().map(str::to_owned)).collect();
    let name = regex::Regex::new(r#"print_record\(\s*"([a-z_]+)""#)?;
    let mut printed: BTreeSet<String> = ["finding", "outcome", "coverage", "witness"].map(str::to_owned).into();
    for entry in fs::read_dir(Path::new(TOP).join("src/cli"))? {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(path)?;
        printed.extend(name.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    check(listed == printed, format!("the schema has {listed:?}, the commands print {printed:?}"))
}

/// A SARIF document that fits its schema; its only run.
fn sarif(text: &str) -> Result<Value, Failed> {
    let document: Value = serde_json::from_str(text)?;
    validate(&serde_json::from_str(SARIF)?, &format!("{document}\n"))?;
    let run = &document["runs"][0];
    for result in run["results"].as_array().ok_or("no results")? {
        let index = result["ruleIndex"].as_u64().ok_or("no rule index")? as usize;
        let rule = &run["tool"]["driver"]["rules"][index];
        check(rule["id"] == result["ruleId"], "a result with another rule's index")?;
        check(rule["help"]["markdown"].as_str().is_some_and(|help| help.len() > 20), "a rule without help")?;
        // Code hosts show a result where a file of the repository has that line, with that text.
        let place = &result["locations"][0]["physicalLocation"];
        let file = place["artifactLocation"]["uri"].as_str().ok_or("no file")?;
        let source = fs::read_to_string(Path::new(TOP).join(file))?;
        let line = place["region"]["startLine"].as_u64().ok_or("no line")? as usize;
        let text = source.lines().nth(line - 1).ok_or("no such line")?.trim();
        check(place["region"]["snippet"]["text"] == text, format!("{file}:{line} is `{text}`"))?;
    }
    Ok(run.clone())
}

fn rejection_is_sarif() -> Outcome {
    let run = sarif(&printed(1, &["verify", REJECTED, COUNTER, "--format", "sarif"])?)?;
    let results = run["results"].as_array().ok_or("no results")?;
    check(results.len() == 1 && results[0]["ruleId"] == "argument-type", format!("{results:?}"))?;
    // Its fingerprint stays when the line moves, and changes with the program.
    let folder = tempfile::tempdir()?;
    let fingerprint = |text: &str| -> Result<Value, Failed> {
        let file = folder.path().join("moved.bpf.c");
        fs::write(&file, text)?;
        let root = folder.path().to_string_lossy().into_owned();
        let words = ["verify", &file.to_string_lossy(), "--format", "sarif", "--root", &root];
        let document: Value = serde_json::from_str(&printed(1, &words)?)?;
        let result = &document["runs"][0]["results"][0];
        check(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "moved.bpf.c", "another file")?;
        Ok(result["partialFingerprints"].clone())
    };
    let source = fs::read_to_string(Path::new(TOP).join(REJECTED))?.replace("\"slot.h\"", "\"../slot.h\"");
    fs::write(folder.path().join("slot.h"), fs::read(Path::new(TOP).join("tests/programs/slot.h"))?)?;
    let source = source.replace("\"../slot.h\"", "\"slot.h\"");
    let one = fingerprint(&source)?;
    check(one == fingerprint(&format!("\n\n\n{source}"))?, "it changes when lines move")?;
    let renamed = source.replace("int this_cpu_after_unlock(", "int another_name(");
    check(one != fingerprint(&renamed)?, "two programs have one fingerprint")
}

fn findings_are_sarif() -> Outcome {
    let run = sarif(&printed(1, &[&["explore"], &CREATE_TWICE[..], &["--format", "sarif"]].concat())?)?;
    let race = &run["results"][0];
    check(race["ruleId"] == "data-race", race.to_string())?;
    check(race["relatedLocations"].as_array().is_some_and(|others| others.len() == 1), "the other access is missing")?;
    let flow = race["codeFlows"][0]["threadFlows"][0]["locations"].as_array().ok_or("no steps")?;
    check(flow.len() > 5, "the schedule is missing")?;
    let none = printed(2, &["verify", "examples/no_such_file.bpf.o", "--format", "sarif"])?;
    let none: Value = serde_json::from_str(&none)?;
    check(none["runs"][0]["invocations"][0]["executionSuccessful"] == false, none.to_string())
}

/// `file=F,line=N` of an annotation names a line of that text.
fn annotation_points_at(line: &str, text: &str) -> Outcome {
    let place = regex::Regex::new(r"^::error file=([^,]+),line=(\d+),col=(\d+),title=kptrsim%3A [a-z-]+::")?;
    let found = place.captures(line).ok_or_else(|| format!("no annotation: {line}"))?;
    let source = fs::read_to_string(Path::new(TOP).join(&found[1]))?;
    let number: usize = found[2].parse()?;
    let there = source.lines().nth(number - 1).unwrap_or_default();
    check(there.contains(text), format!("{line}: there stands {there}"))
}

fn rejection_is_an_annotation() -> Outcome {
    let text = printed(1, &["verify", REJECTED, "--format", "github"])?;
    annotation_points_at(text.lines().next().unwrap_or_default(), "bpf_this_cpu_ptr(p); // REJECT")
}

fn findings_are_annotations() -> Outcome {
    let text = printed(1, &[&["explore"], &CREATE_TWICE[..], &["--format", "github"]].concat())?;
    let (findings, last) = text.trim_end().rsplit_once('\n').ok_or("one line only")?;
    findings.lines().try_for_each(|line| annotation_points_at(line, "copy->"))?;
    check(findings.lines().count() == 2 && last.starts_with("explored: all ") && last.ends_with("findings: 2"), text)
}

fn csv_is_compared() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let csv = printed(0, &["verify", COUNTER, "--format", "csv"])?;
    let columns = "file_name,prog_name,verdict,duration,total_insns,total_states,peak_states,max_states_per_insn,max_mark_read_len";
    check(csv.lines().next() == Some(columns) && csv.lines().count() == 5, csv.clone())?;
    let (a, b, json) = (path("a.csv"), path("b.csv"), path("b.json"));
    fs::write(&a, &csv)?;
    fs::write(&b, csv.replacen("create,success", "create,failure", 1))?;
    fs::write(&json, printed(0, &["verify", COUNTER, "--format", "json"])?)?;
    check(
        printed(0, &["compare", &a, &a])?.ends_with("4 programs: 0 verdicts differ\n"),
        "a table differs from itself",
    )?;
    let differ = printed(1, &["compare", &a, &b, "--emit", "prog,verdict", "--filter", "verdict_diff=mismatch"])?;
    let expected = "Program  Verdict (A)  Verdict (B)  Verdict (DIFF)\n\
                    -------  -----------  -----------  --------------\n\
                    create   success      failure      MISMATCH\n\
                    -------  -----------  -----------  --------------\n\
                    1 program: 1 verdict differ\n";
    check(differ == expected, differ)?;
    printed(0, &["compare", &a, &b, "--filter", "!create"])?;
    printed(1, &["compare", &a, &a, "--fail-if", "insns_b>1"])?;
    printed(0, &["compare", &a, &b, "--fail-if", "insns_diff>0"])?;
    let names = records(&printed(0, &["compare", &a, &json, "--format", "json"])?)?;
    check(names == ["comparison"; 4], format!("{names:?}"))?;
    check(kptrsim(&["compare", &a, COUNTER])?.status.code() == Some(2), "an object is no table")?;
    check(kptrsim(&["compare", &a, &b, "--filter", "speed>1"])?.status.code() == Some(2), "there is no such column")
}

fn graphs_are_drawn() -> Outcome {
    let dot = printed(0, &["graph", COUNTER, "--prog", "create"])?;
    check(dot.starts_with("digraph \"create\" {\n") && dot.ends_with("}\n"), dot.clone())?;
    let nodes = dot.lines().filter(|line| line.trim_start().starts_with('b') && line.contains("[label=")).count();
    let mermaid = printed(0, &["graph", COUNTER, "--prog", "create", "--format", "mermaid"])?;
    check(mermaid.starts_with("flowchart TD\n") && mermaid.matches("\"]\n").count() > 2, mermaid.clone())?;
    check(nodes > 3 && dot.contains("bpf_percpu_obj_new(struct counter)"), dot.clone())?;
    // A quote ends a label; those of the source are escaped.
    let labels = regex::Regex::new(r#"(?m)^    b\d+ \[label="([^"\\]|\\.)*"(, [a-z]+=[a-z0-9]+)*\];$"#)?;
    check(labels.find_iter(&dot).count() == dot.matches("    b").count(), dot)?;
    let insns = printed(0, &["graph", COUNTER, "--prog", "create", "--insns"])?;
    check(insns.contains("0: (") && insns.contains("(95) exit"), insns)?;
    check(kptrsim(&["graph", COUNTER])?.status.code() == Some(2), "which of several programs?")
}

fn rejection_is_drawn() -> Outcome {
    let dot = printed(0, &["graph", REJECTED])?;
    let marked: Vec<&str> = dot.lines().filter(|line| line.contains("color=red")).collect();
    check(marked.len() == 1 && marked[0].contains("// REJECT") && marked[0].contains("rejected: R1 type="), dot)?;
    let mermaid = printed(0, &["graph", REJECTED, "--format", "mermaid"])?;
    check(mermaid.contains("e-&gt;pc") && mermaid.contains("stroke:#d33"), mermaid)
}

fn manual_and_completions() -> Outcome {
    let folder = tempfile::tempdir()?;
    printed(0, &["man", "--dir", &folder.path().to_string_lossy()])?;
    let help = printed(0, &["help"])?;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    check(commands.len() >= 12, format!("{commands:?}"))?;
    for command in &commands {
        let page = fs::read_to_string(folder.path().join(format!("kptrsim-{command}.1")))?;
        check(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), page)?;
    }
    check(folder.path().join("kptrsim-kernel-fetch.1").exists(), "no page for a command of a command")?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(0, &["completions", shell])?;
        check(commands.iter().all(|command| script.contains(command)), format!("{shell}: {script}"))?;
    }
    check(kptrsim(&["man", "nothing"])?.status.code() == Some(2), "a page for no command")
}

/// `linux/bpf.h` includes a header that the host keeps for its own architecture.
const NEEDS_OPTION: &str = r#"
#include <linux/bpf.h>
#include "value.h"
char _license[] __attribute__((section("license"), used)) = "GPL";
__attribute__((section("socket"), used)) int program(struct __sk_buff *skb) { return VALUE; }
"#;

fn sources_find_headers_and_options() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("needs_option.bpf.c");
    fs::write(&file, NEEDS_OPTION)?;
    fs::create_dir(folder.path().join("include"))?;
    fs::write(folder.path().join("include/value.h"), "#define VALUE 1\n")?;
    let verify = |options: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kptrsim"));
        command.arg("verify").arg(&file).env("KPTRSIM_CLANG_OPTIONS", options).output()
    };
    let without = verify("")?;
    let message = String::from_utf8_lossy(&without.stderr);
    check(without.status.code() == Some(2) && message.contains("KPTRSIM_CLANG_OPTIONS"), message)?;
    let with = verify(&format!("-Wall -I{}", folder.path().join("include").display()))?;
    check(with.status.code() == Some(0), String::from_utf8_lossy(&with.stderr))
}
