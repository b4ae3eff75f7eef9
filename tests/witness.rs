//! Witnesses for our own rejected programs: which have one, of which kind, and that each token repeats what it promises.
//!
//! `tests/witness.toml` has the outcome for each program under `tests/programs/reject`. A program without a witness says
//! there why no run shows the harm. Start at [`main`].

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use serde_json::Value;

const FOLDER: &str = "tests/programs/reject";
const TABLE: &str = include_str!("witness.toml");

/// What a program's row says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Expected {
    /// A run shows a finding of this kind.
    Witness(String),
    /// No run does harm, and all were tried; why there is no harm.
    Harmless(String),
    /// None is found; why there is none.
    None(String),
    /// The rule names no harm; of which kind it is.
    NoHarm(String),
}

/// By file, then by program.
type Table = BTreeMap<String, BTreeMap<String, Expected>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let table: Table = match toml::from_str(TABLE) {
        Ok(table) => table,
        Err(error) => {
            eprintln!("tests/witness.toml: {error}");
            return ExitCode::FAILURE;
        }
    };
    let clang = Command::new("clang-19").arg("--version").output().is_ok();
    let required = std::env::var_os("KPTRSIM_REQUIRE_CLANG").is_some();
    let mut trials = vec![Trial::test("every rejected program has a row", {
        let table = table.clone();
        move || every_program_has_a_row(&table)
    })];
    trials.push(
        Trial::test("code hosts are told the witness, with its steps", code_hosts)
            .with_ignored_flag(!clang && !required),
    );
    trials.extend(table.into_iter().map(|(file, rows)| {
        let name = format!("witness {file}");
        Trial::test(name, move || check(&file, &rows)).with_ignored_flag(!clang && !required)
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn every_program_has_a_row(table: &Table) -> Result<(), Failed> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(FOLDER)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files.extend(name.strip_suffix(".bpf.c").map(str::to_owned));
    }
    files.sort();
    let rows: Vec<_> = table.keys().cloned().collect();
    if files == rows { Ok(()) } else { Err(format!("files {files:?}\nrows  {rows:?}").into()) }
}

fn kptrsim(words: &[String]) -> Result<Output, Failed> {
    Ok(Command::new(env!("CARGO_BIN_EXE_kptrsim")).args(words).output()?)
}

fn check(file: &str, rows: &BTreeMap<String, Expected>) -> Result<(), Failed> {
    let path = Path::new(FOLDER).join(format!("{file}.bpf.c")).display().to_string();
    let output = kptrsim(&["witness", "--format", "json", &path].map(str::to_owned))?;
    let text = String::from_utf8(output.stdout)?;
    let records = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let mut found = BTreeMap::new();
    for record in &records {
        let word = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let expected = rows.get(&word("program"));
        let outcome = match (record["answer"].as_str(), expected) {
            (Some("witness"), _) => Expected::Witness(word("kind")),
            (Some("no-harm"), _) => Expected::NoHarm(word("why")),
            // Why there is none is for people to say.
            (Some("harmless"), Some(expected @ Expected::Harmless(_))) => expected.clone(),
            (Some("harmless"), _) => Expected::Harmless("?".to_owned()),
            (Some("none-found"), Some(none @ Expected::None(_))) => none.clone(),
            _ => Expected::None("?".to_owned()),
        };
        if let Expected::Witness(kind) = &outcome {
            check_replay(&word("replay"), kind)?;
        }
        found.insert(word("program"), outcome);
    }
    if found == *rows { Ok(()) } else { Err(format!("expected {rows:?}\nfound    {found:?}\n{text}").into()) }
}

/// SARIF and a workflow's commands tell the same witness, at the rejected line.
fn code_hosts() -> Result<(), Failed> {
    let path = format!("{FOLDER}/drop_null.bpf.c");
    let told = |format: &str| kptrsim(&["witness", "--format", format, &path].map(str::to_owned));
    let log: Value = serde_json::from_slice(&told("sarif")?.stdout)?;
    let result = &log["runs"][0]["results"][0];
    let message = result["message"]["text"].as_str().unwrap_or_default();
    let steps = result["codeFlows"][0]["threadFlows"][0]["locations"].as_array().map_or(0, Vec::len);
    let commands = String::from_utf8(told("github")?.stdout)?;
    let line = result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().unwrap_or_default();
    let holds = [
        result["ruleId"] == "bad-argument",
        message.contains("kptrsim replay ks1:"),
        steps > 0,
        commands.starts_with("::error ") && commands.contains(&format!("line={line},")),
    ];
    if holds == [true; 4] { Ok(()) } else { Err(format!("{holds:?}\n{log:#}\n{commands}").into()) }
}

/// The command that was printed shows a finding of that kind.
fn check_replay(command: &str, kind: &str) -> Result<(), Failed> {
    let mut words = words(command);
    if words.first().map(String::as_str) != Some("kptrsim") {
        return Err(format!("no command: {command}").into());
    }
    words.remove(0);
    words.extend(["--format", "json"].map(str::to_owned));
    let output = kptrsim(&words)?;
    let record: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{command}: {error}\n{}", String::from_utf8_lossy(&output.stderr)))?;
    let kinds: Vec<_> =
        record["findings"].as_array().into_iter().flatten().filter_map(|found| found["kind"].as_str()).collect();
    if kinds.contains(&kind) { Ok(()) } else { Err(format!("{command} shows {kinds:?}, not {kind}").into()) }
}

/// A command's words, as a shell takes them apart: single quotes keep what is between them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words
}
