//! Scenario files: TOML with the keys of [`Scenario`], read with the line of each mistake, written in one canonical way.
//!
//! ```toml
//! object = "exchange.bpf.c"
//! cpus = 2
//! globals = { my_pid = "@pid" }
//! first = ["setup"]                       # or tables: { run = "setup", cpu = 1, args = [1] }
//!
//! [[on]]
//! cpu = 0
//! run = ["publish", { run = "publish", repeat = 2 }]
//!
//! [[on]]
//! cpu = 1
//! run = ["take"]
//!
//! [end]
//! hold = ["globals.taken <= 1", "returns[1] == 0"]
//! observe = ["globals.taken"]
//!
//! [always]
//! hold = ["globals.n >= 0"]
//! ```
//!
//! Start at [`Scenario::from_toml`] and [`Scenario::to_toml`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::error::{Position, ScenarioError};
use super::model::{Condition, Input, MemoryModel, PlacedRun, Run, Scenario, Setting, Task};
use super::words::{bytes_from_hex, hex, short_hex};

/// Bytes of a scenario file that are read.
const MAX_FILE: usize = 1 << 20;

/// A scenario as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileScenario {
    object: Spanned<String>,
    #[serde(default = "two")]
    cpus: Spanned<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaks: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocation_failures: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stocked: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    readings: Vec<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow: Vec<Spanned<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    globals: BTreeMap<String, Spanned<FileSetting>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    first: Vec<Spanned<FileRun>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    last: Vec<Spanned<FileRun>>,
    #[serde(default)]
    on: Vec<Spanned<FileTask>>,
    #[serde(default, skip_serializing_if = "FileEnd::is_empty")]
    end: FileEnd,
    #[serde(default, skip_serializing_if = "FileAlways::is_empty")]
    always: FileAlways,
}

/// A `[[on]]` table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTask {
    cpu: u32,
    run: Vec<Spanned<FileRun>>,
}

/// The `[end]` table.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEnd {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hold: Vec<Spanned<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observe: Option<Vec<Spanned<String>>>,
}

/// The `[always]` table.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAlways {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hold: Vec<Spanned<String>>,
}

impl FileEnd {
    fn is_empty(&self) -> bool {
        self.hold.is_empty() && self.observe.is_none()
    }
}

impl FileAlways {
    fn is_empty(&self) -> bool {
        self.hold.is_empty()
    }
}

/// A program to run, as a table.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRunTable {
    run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<String>,
}

/// A program to run: its name, or a table.
struct FileRun(FileRunTable);

impl Serialize for FileRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FileRunTable { run, cpu: None, repeat: None, args: None, ctx: None, packet: None } = &self.0 else {
            return self.0.serialize(serializer);
        };
        serializer.serialize_str(run)
    }
}

impl<'de> Deserialize<'de> for FileRun {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileRun, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = FileRun;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a program's name or a table with `run`")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<FileRun, E> {
                Ok(FileRun(FileRunTable { run: name.to_owned(), ..FileRunTable::default() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FileRun, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(FileRun)
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}

/// A global's value: a number, or a word.
#[derive(Serialize)]
#[serde(untagged)]
enum FileSetting {
    Number(i64),
    Word(String),
}

impl<'de> Deserialize<'de> for FileSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileSetting, D::Error> {
        struct NumberOrWord;
        impl Visitor<'_> for NumberOrWord {
            type Value = FileSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"hex:DIGITS\", \"@pid\" or \"@cpus\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<FileSetting, E> {
                Ok(FileSetting::Number(number))
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<FileSetting, E> {
                Ok(FileSetting::Number(i64::from(flag)))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<FileSetting, E> {
                Ok(FileSetting::Word(word.to_owned()))
            }
        }
        deserializer.deserialize_any(NumberOrWord)
    }
}

fn two() -> Spanned<u32> {
    unplaced(2)
}

fn unplaced<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

/// Turns places in the text into lines.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn position(&self, span: Range<usize>, key: impl Into<String>) -> Position {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        Position { file: self.file.to_owned(), line: Some(line), key: key.into() }
    }

    /// The error of a file that is no TOML, or has a key or a type that there is not.
    fn refused(&self, error: &toml::de::Error) -> ScenarioError {
        let span = error.span().unwrap_or(0..0);
        let mut position = self.position(span, "");
        let line = position.line.and_then(|line| self.text.lines().nth(line - 1)).unwrap_or("");
        position.key = line.split(['=', '#']).next().unwrap_or("").trim().to_owned();
        ScenarioError::at(&position, error.message().replace('\n', "; "))
    }

    fn conditions(&self, list: Vec<Spanned<String>>, key: &str) -> Vec<Condition> {
        let condition = |(index, one): (usize, Spanned<String>)| Condition {
            position: self.position(one.span(), format!("{key}[{index}]")),
            text: one.into_inner(),
        };
        list.into_iter().enumerate().map(condition).collect()
    }

    /// A program to run, and the CPU that its table names.
    fn run(&self, run: Spanned<FileRun>, key: String) -> Result<(Option<u32>, Run), ScenarioError> {
        let position = self.position(run.span(), key);
        let FileRun(table) = run.into_inner();
        let refuse = |reason: String| ScenarioError::at(&position, reason);
        let input = match (table.args, table.ctx, table.packet) {
            (None, None, None) => Input::Nothing,
            (Some(numbers), None, None) => Input::Arguments(numbers.into_iter().map(i64::cast_unsigned).collect()),
            (None, context, packet) => {
                let bytes = |digits: Option<String>| bytes_from_hex(&digits.unwrap_or_default()).map_err(refuse);
                let packet = packet.map(|digits| bytes(Some(digits))).transpose()?;
                Input::Bytes { context: bytes(context)?, packet }
            }
            _ => return Err(refuse("`args` are a context; give either `args` or `ctx` and `packet`".into())),
        };
        let repeat = table.repeat.unwrap_or(1);
        Ok((table.cpu, Run { program: table.run, input, repeat, position }))
    }

    fn placed(&self, list: Vec<Spanned<FileRun>>, key: &str) -> Result<Vec<PlacedRun>, ScenarioError> {
        let placed = |(index, run)| {
            let (cpu, run) = self.run(run, format!("{key}[{index}]"))?;
            Ok(PlacedRun { cpu: cpu.unwrap_or(0), run })
        };
        list.into_iter().enumerate().map(placed).collect()
    }

    fn task(&self, index: usize, task: Spanned<FileTask>) -> Result<Task, ScenarioError> {
        let position = self.position(task.span(), format!("on[{index}]"));
        let FileTask { cpu, run } = task.into_inner();
        if run.is_empty() {
            return Err(ScenarioError::at(&position, "a task that runs nothing"));
        }
        let mut runs = Vec::new();
        for (step, run) in run.into_iter().enumerate() {
            let (own, run) = self.run(run, format!("on[{index}].run[{step}]"))?;
            if own.is_some_and(|own| own != cpu) {
                return Err(ScenarioError::at(&run.position, format!("the whole task runs on CPU {cpu}")));
            }
            runs.push(run);
        }
        Ok(Task { cpu, run: runs })
    }

    fn globals(
        &self,
        list: BTreeMap<String, Spanned<FileSetting>>,
    ) -> Result<BTreeMap<String, Setting>, ScenarioError> {
        let setting = |(name, value): (String, Spanned<FileSetting>)| {
            let position = self.position(value.span(), format!("globals.{name}"));
            match value.into_inner() {
                FileSetting::Number(number) => Ok((name, Setting::Number(number))),
                FileSetting::Word(word) => {
                    let setting = Setting::from_word(&word).map_err(|reason| ScenarioError::at(&position, reason))?;
                    Ok((name, setting))
                }
            }
        };
        list.into_iter().map(setting).collect()
    }

    fn scenario(&self, file: FileScenario) -> Result<Scenario, ScenarioError> {
        let place = |span: Range<usize>, key: &str| self.position(span, key);
        let (object_at, cpus_at) = (place(file.object.span(), "object"), place(file.cpus.span(), "cpus"));
        let allow_at = place(file.allow.first().map_or(0..0, Spanned::span), "allow");
        let memory = match file.memory {
            None => MemoryModel::default(),
            Some(name) => MemoryModel::from_name(name.get_ref()).ok_or_else(|| {
                let reason = format!("'{}' is no memory model; there are `sc` and `tso`", name.get_ref());
                ScenarioError::at(&place(name.span(), "memory"), reason)
            })?,
        };
        let tasks = file.on.into_iter().enumerate().map(|(index, task)| self.task(index, task));
        let scenario = Scenario {
            object: file.object.into_inner().into(),
            cpus: file.cpus.into_inner(),
            globals: self.globals(file.globals)?,
            first: self.placed(file.first, "first")?,
            on: tasks.collect::<Result<_, _>>()?,
            last: self.placed(file.last, "last")?,
            hold: self.conditions(file.end.hold, "end.hold"),
            always: self.conditions(file.always.hold, "always.hold"),
            observe: file.end.observe.map(|list| self.conditions(list, "end.observe")),
            allow: file.allow.into_iter().map(Spanned::into_inner).collect(),
            leaks: file.leaks.unwrap_or(true),
            allocation_failures: file.allocation_failures.unwrap_or(false),
            stocked: file.stocked.unwrap_or(false),
            readings: file.readings.into_iter().map(i64::cast_unsigned).collect(),
            memory,
        };
        scenario.check(|key| match key {
            "object" => object_at.clone(),
            "cpus" => cpus_at.clone(),
            "allow" => allow_at.clone(),
            _ => Position { file: self.file.to_owned(), line: None, key: key.to_owned() },
        })?;
        Ok(scenario)
    }
}

/// Is it a scenario's file, by its name?
#[must_use]
pub fn is_scenario(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

impl Scenario {
    /// Reads a scenario. `file` is what errors call it.
    ///
    /// # Errors
    /// [`ScenarioError`] with the line and the key of what is wrong.
    pub fn from_toml(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
        let reader = Reader { file, text };
        if text.len() > MAX_FILE {
            let reason = format!("a scenario of more than {MAX_FILE} bytes");
            return Err(ScenarioError::at(&reader.position(0..0, ""), reason));
        }
        let parsed = toml::from_str(text).map_err(|error| reader.refused(&error))?;
        reader.scenario(parsed)
    }

    /// Writes it in one canonical way: reading that gives an equal scenario but for the places, and equal scenarios give equal text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Numbers, texts and tables alone always have a TOML form.
        toml::to_string(&self.to_file()).unwrap_or_default()
    }

    /// SHA-256 of the canonical text and the object's bytes, as 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self, object: &[u8]) -> String {
        let text = self.to_toml();
        let mut hash = Sha256::new();
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(&text);
        hash.update(object);
        hex(&hash.finalize())
    }

    /// The first eight bytes of [`Scenario::digest`], as tokens of schedules carry them.
    #[must_use]
    pub fn token_digest(&self, object: &[u8]) -> Option<u64> {
        self.digest(object).get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok())
    }

    fn to_file(&self) -> FileScenario {
        let texts = |list: &[Condition]| list.iter().map(|one| unplaced(one.text.clone())).collect();
        let runs = |list: &[Run]| list.iter().map(|run| unplaced(to_run(run, 0))).collect();
        let placed = |list: &[PlacedRun]| list.iter().map(|one| unplaced(to_run(&one.run, one.cpu))).collect();
        FileScenario {
            object: unplaced(self.object.to_string_lossy().into_owned()),
            cpus: unplaced(self.cpus),
            memory: (self.memory != MemoryModel::default()).then(|| unplaced(self.memory.name().to_owned())),
            leaks: (!self.leaks).then_some(false),
            allocation_failures: self.allocation_failures.then_some(true),
            stocked: self.stocked.then_some(true),
            readings: self.readings.iter().map(|reading| reading.cast_signed()).collect(),
            allow: self.allow.iter().cloned().map(unplaced).collect(),
            globals: self.globals.iter().map(|(name, setting)| (name.clone(), unplaced(to_setting(setting)))).collect(),
            first: placed(&self.first),
            last: placed(&self.last),
            on: self.on.iter().map(|task| unplaced(FileTask { cpu: task.cpu, run: runs(&task.run) })).collect(),
            end: FileEnd { hold: texts(&self.hold), observe: self.observe.as_deref().map(texts) },
            always: FileAlways { hold: texts(&self.always) },
        }
    }
}

fn to_setting(setting: &Setting) -> FileSetting {
    match (setting, setting.word()) {
        (Setting::Number(number), _) => FileSetting::Number(*number),
        (_, word) => FileSetting::Word(word.unwrap_or_default()),
    }
}

/// The shortest form of a run on that CPU; CPU 0 goes without saying.
fn to_run(run: &Run, cpu: u32) -> FileRun {
    let mut table = FileRunTable { run: run.program.clone(), ..FileRunTable::default() };
    table.cpu = (cpu != 0).then_some(cpu);
    table.repeat = (run.repeat != 1).then_some(run.repeat);
    match &run.input {
        Input::Nothing => {}
        Input::Arguments(numbers) => table.args = Some(numbers.iter().map(|number| number.cast_signed()).collect()),
        Input::Bytes { context, packet } => {
            table.ctx = (!context.is_empty() || packet.is_none()).then(|| short_hex(context));
            table.packet = packet.as_deref().map(short_hex);
        }
    }
    FileRun(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: &str = r#"
object = "exchange.bpf.c"
cpus = 3
memory = "tso"
leaks = false
allocation_failures = true
allow = ["data-race"]
globals = { my_pid = "@pid", n = -1, bytes = "hex:0102", flag = true }
first = ["setup", { run = "setup", cpu = 1, args = [1, -1] }]
last = [{ run = "sum", repeat = 2 }]

[[on]]
cpu = 0
run = ["publish", { run = "publish", repeat = 3, packet = "00ff", ctx = "01" }]

[[on]]
cpu = 2
run = ["take"]

[end]
hold = ["globals.taken <= 1", "returns[1] == 0"]
observe = ["globals.taken"]

[always]
hold = ["globals.n >= 0"]
"#;

    fn read(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::from_toml("a.toml", text)
    }

    fn error(text: &str) -> String {
        read(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn every_key_is_read() {
        let scenario = read(EVERYTHING).expect("it is right");
        assert_eq!((scenario.cpus, scenario.memory, scenario.leaks), (3, MemoryModel::Tso, false));
        assert!(scenario.allocation_failures);
        assert_eq!(scenario.globals["bytes"], Setting::Bytes(vec![1, 2]));
        assert_eq!(scenario.globals["flag"], Setting::Number(1));
        assert_eq!(scenario.first[1].cpu, 1);
        assert_eq!(scenario.first[1].run.input.context()[8..], [0xff; 8]);
        assert_eq!(scenario.on[0].run[1].input, Input::Bytes { context: vec![1], packet: Some(vec![0, 255]) });
        assert_eq!((scenario.return_count(), scenario.last_count()), (5, 2));
        assert_eq!(scenario.hold[1].position.to_string(), "a.toml:21: end.hold[1]");
        assert_eq!(scenario.always[0].text, "globals.n >= 0");
    }

    #[test]
    fn the_canonical_text_comes_back_the_same() {
        let scenario = read(EVERYTHING).expect("it is right");
        let canonical = scenario.to_toml();
        let again = read(&canonical).expect("what is written can be read");
        assert_eq!(again.to_toml(), canonical);
        assert_eq!(again.globals, scenario.globals);
        assert_eq!(again.on.len(), scenario.on.len());
        assert_eq!(again.digest(b"object"), scenario.digest(b"object"));
        assert_ne!(again.digest(b"object"), scenario.digest(b"other"));
        let other = read(&EVERYTHING.replace("repeat = 3", "repeat = 4")).expect("it is right");
        assert_ne!(other.digest(b"object"), scenario.digest(b"object"));
    }

    #[test]
    fn comments_and_order_do_not_change_the_digest() {
        let one = read("object = \"a.o\"\ncpus = 1\n[[on]]\ncpu = 0\nrun = [\"p\"]\n").expect("it is right");
        let two = read("# says nothing\ncpus = 1\nobject = \"a.o\"\non = [{ run = [{ run = \"p\" }], cpu = 0 }]\n");
        assert_eq!(one.digest(b""), two.expect("it is right").digest(b""));
    }

    #[test]
    fn mistakes_are_told_with_file_line_and_key() {
        let with = |line: &str| format!("object = \"a.o\"\n{line}\n[[on]]\ncpu = 0\nrun = [\"p\"]\n");
        let unknown = error(&with("colour = 1"));
        assert!(unknown.starts_with("a.toml:2: colour: unknown field `colour`"), "{unknown}");
        let type_of = error(&with("cpus = \"many\""));
        assert!(type_of.starts_with("a.toml:2: cpus: invalid type"), "{type_of}");
        assert_eq!(error(&with("cpus = 0")), "a.toml:2: cpus: 0 CPUs are not possible; give 1 to 64");
        assert_eq!(
            error(&with("memory = \"arm\"")),
            "a.toml:2: memory: 'arm' is no memory model; there are `sc` and `tso`"
        );
        let global = error(&with("globals = { a = \"b\" }"));
        assert_eq!(global, "a.toml:2: globals.a: 'b' is no number, hex:DIGITS, @pid or @cpus");
        let far = error(&with("first = [{ run = \"p\", cpu = 9 }]"));
        assert_eq!(far, "a.toml:2: first[0]: there is no CPU 9: the scenario has 2, numbered from 0");
        let both = error(&with("first = [{ run = \"p\", args = [1], ctx = \"00\" }]"));
        assert!(both.starts_with("a.toml:2: first[0]: `args` are a context"), "{both}");
        let kind = error(&with("allow = [\"Data Race\"]"));
        assert!(kind.starts_with("a.toml:2: allow: 'Data Race' is no kind"), "{kind}");
        assert!(error("object = \"a.o\"").contains("nothing runs"));
        assert!(error("object = ").starts_with("a.toml:1: object: "), "{}", error("object = "));
        assert!(error("").contains("object"));
    }
}
