//! Scenarios from words of the command line: `--on 0:publish,take*3 --set my_pid=@pid --hold 'globals.n == 2'`.
//! A program's input stands behind its name: `--on '0:raw(1;2)'` for arguments, `--on '0:parse(packet:00ff)'` for bytes.
//!
//! Start at [`Builder`].

use std::path::PathBuf;
use std::str::FromStr;

use super::error::{Position, ScenarioError};
use super::model::{Condition, Input, MemoryModel, PlacedRun, Run, Scenario, Setting, Task};

/// `CPU:PROG[,PROG][*N]`: programs that run on one CPU, one after another. `*N` repeats the program before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnWord(pub Task);

impl FromStr for OnWord {
    type Err = String;

    fn from_str(text: &str) -> Result<OnWord, String> {
        let (cpu, programs) = text.split_once(':').ok_or("expected CPU:PROGRAM, such as 0:take or 1:put,take*3")?;
        let cpu = parse_cpu(cpu)?;
        let run = programs.split(',').map(|word| parse_run(word, "--on")).collect::<Result<_, _>>()?;
        Ok(OnWord(Task { cpu, run }))
    }
}

/// `[CPU:]PROG[*N]`: a program that runs before or after the tasks; on CPU 0 when none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedWord(pub PlacedRun);

impl FromStr for PlacedWord {
    type Err = String;

    fn from_str(text: &str) -> Result<PlacedWord, String> {
        let (cpu, program) = match text.split_once(':') {
            Some((cpu, program)) => (parse_cpu(cpu)?, program),
            None => (0, text),
        };
        Ok(PlacedWord(PlacedRun { cpu, run: parse_run(program, "--first")? }))
    }
}

/// `GLOBAL=VALUE`: the value is a number, `hex:DIGITS`, `@pid` or `@cpus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetWord(pub String, pub Setting);

impl FromStr for SetWord {
    type Err = String;

    fn from_str(text: &str) -> Result<SetWord, String> {
        let (name, value) = text.split_once('=').ok_or("expected GLOBAL=VALUE")?;
        if name.is_empty() {
            return Err("expected GLOBAL=VALUE".into());
        }
        let setting = match value.parse() {
            Ok(number) => Setting::Number(number),
            Err(_) => Setting::from_word(value)?,
        };
        Ok(SetWord(name.to_owned(), setting))
    }
}

impl Setting {
    /// What a word other than a number stands for: `hex:DIGITS`, `@pid` or `@cpus`.
    ///
    /// # Errors
    /// A sentence that says which words there are.
    pub fn from_word(word: &str) -> Result<Setting, String> {
        match (word, word.strip_prefix("hex:")) {
            ("@pid", _) => Ok(Setting::Pid),
            ("@cpus", _) => Ok(Setting::Cpus),
            (_, Some(digits)) => bytes_from_hex(digits).map(Setting::Bytes),
            _ => Err(format!("'{word}' is no number, hex:DIGITS, @pid or @cpus")),
        }
    }

    /// The word for a setting; `None` for a number.
    #[must_use]
    pub fn word(&self) -> Option<String> {
        match self {
            Setting::Number(_) => None,
            Setting::Bytes(bytes) => Some(format!("hex:{}", hex(bytes))),
            Setting::Pid => Some("@pid".into()),
            Setting::Cpus => Some("@cpus".into()),
        }
    }
}

/// Bytes from hexadecimal digits: `00ff`, and with repetitions `00ff+00*64`.
pub(super) fn bytes_from_hex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("'{text}' is not hexadecimal digits, two for each byte");
    let mut bytes = Vec::new();
    for part in text.split('+') {
        let (digits, times) = part.split_once('*').unwrap_or((part, "1"));
        let times: usize = times.parse().map_err(|_| wrong())?;
        let numbers = digits.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        let numbers = numbers.collect::<Option<Vec<u8>>>().ok_or_else(wrong)?;
        let pairs = numbers.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(wrong());
        }
        let some: Vec<u8> = pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        if some.len().saturating_mul(times).saturating_add(bytes.len()) > MAX_BYTES {
            return Err(format!("'{text}' is more than {MAX_BYTES} bytes"));
        }
        bytes.extend(some.repeat(times));
    }
    Ok(bytes)
}

/// Bytes at most that digits may stand for.
const MAX_BYTES: usize = 1 << 20;
/// Zeros at the end from which on they are counted.
const MANY_ZEROS: usize = 128;

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The same, but many zeros at the end as a repetition.
pub(super) fn short_hex(bytes: &[u8]) -> String {
    let kept = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let (shown, zeros) = bytes.split_at(kept);
    match zeros.len() {
        ..MANY_ZEROS => hex(bytes),
        count if shown.is_empty() => format!("00*{count}"),
        count => format!("{}+00*{count}", hex(shown)),
    }
}

fn parse_cpu(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("'{word}' is no CPU's number"))
}

fn parse_run(word: &str, option: &str) -> Result<Run, String> {
    // An input may have one of its own.
    let input_end = word.rfind(')').unwrap_or(0);
    let (program, repeat) = match word.rsplit_once('*').filter(|(program, _)| program.len() > input_end) {
        Some((program, count)) => {
            let count = count.parse().map_err(|_| format!("'{count}' is no number of times"))?;
            (program, count)
        }
        None => (word, 1),
    };
    let (program, input) = match program.split_once('(') {
        Some((program, input)) => {
            let input = input.strip_suffix(')').ok_or_else(|| format!("'{input}' has no closing parenthesis"))?;
            (program, parse_input(input)?)
        }
        None => (program, Input::Nothing),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if program.is_empty() || !program.chars().all(fits) {
        return Err(format!("'{program}' is no program's name"));
    }
    Ok(Run { program: program.to_owned(), input, repeat, position: position(option) })
}

/// `1;-2` (arguments), or `ctx:HEX`, `packet:HEX`, or both with a semicolon between them.
fn parse_input(text: &str) -> Result<Input, String> {
    let parts: Vec<&str> = text.split(';').collect();
    if !parts.iter().any(|part| part.contains(':')) {
        let number =
            |part: &&str| part.parse::<i64>().map(|number| number as u64).map_err(|_| format!("'{part}' is no number"));
        return Ok(Input::Arguments(parts.iter().map(number).collect::<Result<_, _>>()?));
    }
    let (mut context, mut packet) = (Vec::new(), None);
    for part in parts {
        match part.split_once(':') {
            Some(("ctx", digits)) => context = bytes_from_hex(digits)?,
            Some(("packet", digits)) => packet = Some(bytes_from_hex(digits)?),
            _ => return Err(format!("'{part}' is neither ctx:HEX nor packet:HEX")),
        }
    }
    Ok(Input::Bytes { context, packet })
}

/// An input as [`parse_input`] reads it, in parentheses; nothing for nothing.
fn input_word(input: &Input) -> String {
    match input {
        Input::Nothing => String::new(),
        Input::Arguments(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(|number| number.cast_signed().to_string()).collect();
            format!("({})", numbers.join(";"))
        }
        Input::Bytes { context, packet } => {
            let given = (!context.is_empty() || packet.is_none()).then_some(context);
            let parts = [("ctx", given), ("packet", packet.as_ref())];
            let part = |(name, bytes): (&str, Option<&Vec<u8>>)| Some(format!("{name}:{}", short_hex(bytes?)));
            let parts: Vec<_> = parts.into_iter().filter_map(part).collect();
            format!("({})", parts.join(";"))
        }
    }
}

fn position(option: &str) -> Position {
    Position { file: "command line".into(), line: None, key: option.into() }
}

/// The words of the command line that make such a scenario about an object: each an option and its value.
#[must_use]
pub fn words(scenario: &Scenario) -> Vec<(&'static str, Option<String>)> {
    let run = |run: &Run| {
        let times = if run.repeat == 1 { String::new() } else { format!("*{}", run.repeat) };
        format!("{}{}{times}", run.program, input_word(&run.input))
    };
    let placed = |placed: &PlacedRun| Some(format!("{}:{}", placed.cpu, run(&placed.run)));
    let mut words = vec![("--cpus", Some(scenario.cpus.to_string()))];
    words.extend(scenario.first.iter().map(|one| ("--first", placed(one))));
    words.extend(scenario.on.iter().map(|task| {
        let runs: Vec<_> = task.run.iter().map(run).collect();
        ("--on", Some(format!("{}:{}", task.cpu, runs.join(","))))
    }));
    words.extend(scenario.last.iter().map(|one| ("--last", placed(one))));
    words.extend(scenario.globals.iter().map(|(name, setting)| {
        let number = if let Setting::Number(number) = setting { number.to_string() } else { String::new() };
        ("--set", Some(format!("{name}={}", setting.word().unwrap_or(number))))
    }));
    let conditions =
        |option, all: &[Condition]| all.iter().map(move |one| (option, Some(one.text.clone()))).collect::<Vec<_>>();
    words.extend(conditions("--hold", &scenario.hold));
    words.extend(conditions("--always", &scenario.always));
    words.extend(conditions("--observe", scenario.observe.as_deref().unwrap_or_default()));
    words.extend(scenario.allow.iter().map(|kind| ("--allow", Some(kind.clone()))));
    words.extend((!scenario.leaks).then_some(("--no-leaks", None)));
    words.extend(scenario.allocation_failures.then_some(("--allocation-failures", None)));
    words.extend(scenario.stocked.then_some(("--stocked", None)));
    words.extend(scenario.readings.iter().map(|reading| ("--reading", Some(reading.to_string()))));
    words
        .extend((scenario.memory != MemoryModel::default()).then(|| ("--memory", Some(scenario.memory.name().into()))));
    words
}

/// Makes a scenario from words of the command line, or adds them to one that was read from a file.
#[derive(Clone, Debug)]
pub struct Builder {
    scenario: Scenario,
    cpus: Option<u32>,
}

impl Builder {
    /// A scenario about an object.
    #[must_use]
    pub fn about(object: impl Into<PathBuf>) -> Builder {
        Builder { scenario: Scenario::about(object), cpus: None }
    }

    /// A scenario that is there already; what words say is added to it.
    #[must_use]
    pub fn from(scenario: Scenario) -> Builder {
        let cpus = Some(scenario.cpus);
        Builder { scenario, cpus }
    }

    /// The number of CPUs. When it is never said, there are as many as the highest CPU that is named needs.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Builder {
        self.cpus = Some(cpus);
        self
    }

    /// `--on`: another task; programs for a CPU that has a task already come after its others.
    #[must_use]
    pub fn on(mut self, word: OnWord) -> Builder {
        match self.scenario.on.iter_mut().find(|task| task.cpu == word.0.cpu) {
            Some(task) => task.run.extend(word.0.run),
            None => self.scenario.on.push(word.0),
        }
        self
    }

    /// `--first`: a program to run before.
    #[must_use]
    pub fn first(mut self, word: PlacedWord) -> Builder {
        self.scenario.first.push(word.0);
        self
    }

    /// `--last`: a program to run after.
    #[must_use]
    pub fn last(mut self, word: PlacedWord) -> Builder {
        let mut placed = word.0;
        placed.run.position = position("--last");
        self.scenario.last.push(placed);
        self
    }

    /// `--set`: a global's value.
    #[must_use]
    pub fn set(mut self, word: SetWord) -> Builder {
        self.scenario.globals.insert(word.0, word.1);
        self
    }

    /// `--hold`: what must hold at the end.
    #[must_use]
    pub fn hold(mut self, text: impl Into<String>) -> Builder {
        self.scenario.hold.push(Condition { text: text.into(), position: position("--hold") });
        self
    }

    /// `--always`: what must hold after each step.
    #[must_use]
    pub fn always(mut self, text: impl Into<String>) -> Builder {
        self.scenario.always.push(Condition { text: text.into(), position: position("--always") });
        self
    }

    /// `--observe`: a part of the outcome.
    #[must_use]
    pub fn observe(mut self, text: impl Into<String>) -> Builder {
        let condition = Condition { text: text.into(), position: position("--observe") };
        self.scenario.observe.get_or_insert_default().push(condition);
        self
    }

    /// `--allow`: a kind of finding that is none here.
    #[must_use]
    pub fn allow(mut self, kind: impl Into<String>) -> Builder {
        self.scenario.allow.push(kind.into());
        self
    }

    /// Are leaks findings?
    #[must_use]
    pub fn leaks(mut self, leaks: bool) -> Builder {
        self.scenario.leaks = leaks;
        self
    }

    /// Adds a number that programs read of what is not modelled.
    #[must_use]
    pub fn reading(mut self, reading: u64) -> Builder {
        self.scenario.readings.push(reading);
        self
    }

    /// Are maps and arguments not empty at the start?
    #[must_use]
    pub fn stocked(mut self, stocked: bool) -> Builder {
        self.scenario.stocked = stocked;
        self
    }

    /// May allocations fail?
    #[must_use]
    pub fn allocation_failures(mut self, may_fail: bool) -> Builder {
        self.scenario.allocation_failures = may_fail;
        self
    }

    /// The memory model.
    #[must_use]
    pub fn memory(mut self, memory: MemoryModel) -> Builder {
        self.scenario.memory = memory;
        self
    }

    /// The scenario.
    ///
    /// # Errors
    /// [`ScenarioError`] for what cannot be meant: a CPU that there is not, nothing to run.
    pub fn build(mut self) -> Result<Scenario, ScenarioError> {
        let placed = self.scenario.first.iter().chain(&self.scenario.last).map(|placed| placed.cpu);
        let highest = self.scenario.on.iter().map(|task| task.cpu).chain(placed).max().unwrap_or(0);
        self.scenario.cpus = self.cpus.unwrap_or_else(|| highest.saturating_add(1));
        self.scenario.check(|key| position(&format!("--{key}")))?;
        Ok(self.scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_cpu_programs_and_repeats() {
        let OnWord(task) = "1:put,take*3".parse().expect("it is well formed");
        assert_eq!(task.cpu, 1);
        let runs: Vec<_> = task.run.iter().map(|run| (run.program.as_str(), run.repeat)).collect();
        assert_eq!(runs, [("put", 1), ("take", 3)]);
        for wrong in ["put", "x:put", "0:", "0:a,,b", "0:a*x", "0:a b", "-1:a"] {
            assert!(wrong.parse::<OnWord>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_are_numbers_or_words() {
        let setting = |text: &str| text.parse::<SetWord>().map(|SetWord(_, setting)| setting);
        assert_eq!(setting("a=-3"), Ok(Setting::Number(-3)));
        assert_eq!(setting("a=hex:0a0B"), Ok(Setting::Bytes(vec![10, 11])));
        assert_eq!(setting("a=@pid"), Ok(Setting::Pid));
        assert_eq!(setting("a=@cpus"), Ok(Setting::Cpus));
        for wrong in ["a", "=1", "a=x", "a=hex:0", "a=hex:zz"] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_digits_with_repetitions() {
        assert_eq!(bytes_from_hex("0aff+00*3+01"), Ok(vec![10, 255, 0, 0, 0, 1]));
        assert_eq!(bytes_from_hex(""), Ok(vec![]));
        for wrong in ["0", "zz", "00*", "00*x", "+0", "00*9999999"] {
            assert!(bytes_from_hex(wrong).is_err(), "{wrong}");
        }
        let mut bytes = vec![7; 2];
        bytes.resize(2 + MANY_ZEROS, 0);
        assert_eq!(short_hex(&bytes), "0707+00*128");
        for some in [&bytes[..], &bytes[2..], &bytes[..9], &[]] {
            assert_eq!(bytes_from_hex(&short_hex(some)).as_deref(), Ok(some));
        }
    }

    #[test]
    fn a_packet_of_no_bytes_is_one() {
        let input = |word: &str| word.parse::<OnWord>().map(|OnWord(task)| task.run[0].input.clone());
        let empty = Input::Bytes { context: vec![], packet: Some(vec![]) };
        assert_eq!(input("0:a(packet:)"), Ok(empty.clone()));
        assert_eq!(input("0:a(ctx:07)"), Ok(Input::Bytes { context: vec![7], packet: None }));
        assert_eq!(input_word(&empty), "(packet:)");
    }

    #[test]
    fn the_words_of_a_scenario_make_it_again() {
        let word = |text: &str| text.parse::<OnWord>().expect("it is well formed");
        let set = |text: &str| text.parse::<SetWord>().expect("it is well formed");
        let builder =
            Builder::about("a.bpf.o").on(word("0:a*2,b")).on(word("1:c")).set(set("n=-3")).set(set("m=@cpus"));
        let first = builder.hold("globals.n == 1").allow("leak").leaks(false).memory(MemoryModel::Tso).build();
        let first = first.expect("it makes sense");
        let again = words(&first).into_iter().fold(Builder::about("a.bpf.o"), |builder, (option, value)| {
            let value = value.unwrap_or_default();
            match option {
                "--on" => builder.on(word(&value)),
                "--set" => builder.set(set(&value)),
                "--hold" => builder.hold(value),
                "--allow" => builder.allow(value),
                "--no-leaks" => builder.leaks(false),
                "--memory" => builder.memory(MemoryModel::Tso),
                "--cpus" => builder.cpus(value.parse().expect("a number")),
                other => panic!("no word {other} was given"),
            }
        });
        assert_eq!(again.build().expect("it makes sense").digest(b""), first.digest(b""));
    }

    #[test]
    fn a_builder_counts_the_cpus_that_are_named() {
        let word = |text: &str| text.parse::<OnWord>().expect("it is well formed");
        let scenario = Builder::about("a.bpf.o").on(word("0:a")).on(word("2:b")).on(word("0:c")).build();
        let scenario = scenario.expect("it makes sense");
        assert_eq!((scenario.cpus, scenario.on.len(), scenario.return_count()), (3, 2, 3));
        let error = Builder::about("a.bpf.o").cpus(2).on(word("2:b")).build().expect_err("there is no CPU 2");
        assert_eq!(error.to_string(), "command line: --on: there is no CPU 2: the scenario has 2, numbered from 0");
        assert!(Builder::about("a.bpf.o").build().is_err());
    }
}
