//! What a program file says about itself: the block of `// key: value` lines on top, and its `// REJECT` marks.
//!
//! [`Expectations::parse`] reads a whole file and refuses whatever is misspelt, misplaced or missing, with its line. What the keys
//! mean is written down in README.md in this folder.

use std::fmt;

/// Everything that one file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expectations {
    /// Are they loaded by a process without any capability?
    pub unprivileged: bool,
    /// One for each entry program.
    pub programs: Vec<ProgramExpectation>,
    /// What happens when programs of the file run, one after another.
    pub stories: Vec<Story>,
}

/// What is expected of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramExpectation {
    /// The name of its entry function.
    pub name: String,
    /// The kernel's verdict.
    pub verdict: Verdict,
}

/// The kernel's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It loads.
    Accept,
    /// The verifier refuses it.
    Reject(Rejection),
}

/// How the verifier refuses a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The error number, positive.
    pub errno: i32,
    /// The last line of the log that gives a reason.
    pub reason: String,
    /// The last instruction that the log shows, when it shows one.
    pub insn: Option<u32>,
    /// The line of the file that carries `// REJECT`, counted from 1.
    pub line: Option<usize>,
}

/// Programs that run in order on one machine, and what they leave behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Story {
    /// The numbers of CPUs to run it with.
    pub cpus: Vec<u32>,
    /// Globals to set before the programs are loaded.
    pub set: Vec<(String, Amount)>,
    /// The programs to run.
    pub steps: Vec<Step>,
    /// Globals after the last step.
    pub globals: Vec<(String, Amount)>,
    /// Parts of map elements after the last step.
    pub maps: Vec<(MapPath, Amount)>,
    /// How many references programs still held when they ended.
    pub leaks: Option<u32>,
}

/// A number, or how many CPUs the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// This number.
    Number(i128),
    /// The number of CPUs.
    Cpus,
}

impl Amount {
    /// The number that it stands for on a machine with so many CPUs.
    pub fn on(self, cpus: u32) -> i128 {
        match self {
            Amount::Number(number) => number,
            Amount::Cpus => i128::from(cpus),
        }
    }

    fn parse(text: &str) -> Result<Amount, String> {
        if text == "cpus" {
            return Ok(Amount::Cpus);
        }
        let number = match text.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.map(Amount::Number).map_err(|_| format!("`{text}` is neither a number nor `cpus`"))
    }
}

/// One program, run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub program: String,
    /// The CPU that it runs on.
    pub cpu: u32,
    /// How it ends.
    pub outcome: Outcome,
}

/// How a step ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returns, and the low 32 bits of what it returns are these.
    Returns(Amount),
    /// It returns; what does not matter.
    ReturnsAnything,
    /// It breaks a rule; this is the machine's name for it. A kernel is not asked to run it.
    Faults(String),
    /// It needs something that the machine does not model, which it says in these words. A kernel is not asked to run it.
    Unsupported(String),
}

/// A scalar in a map element: `slots[0].total.hits`, `elements[0]@1.total.hits`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapPath {
    /// The map's name.
    pub map: String,
    /// The key, which is an integer.
    pub key: u32,
    /// Which CPU's value, in a per-CPU map.
    pub cpu: Option<u32>,
    /// The path inside the value, with its leading dot.
    pub members: String,
}

impl MapPath {
    fn parse(text: &str) -> Result<MapPath, String> {
        let bad = || format!("`{text}` is no map[key].member");
        let (map, rest) = text.split_once('[').ok_or_else(bad)?;
        let (key, rest) = rest.split_once(']').ok_or_else(bad)?;
        let key = key.parse().map_err(|_| bad())?;
        let (cpu, members) = match rest.strip_prefix('@') {
            Some(rest) => {
                let end = rest.find('.').ok_or_else(bad)?;
                (Some(rest[..end].parse().map_err(|_| bad())?), &rest[end..])
            }
            None => (None, rest),
        };
        if map.is_empty() || !members.starts_with('.') {
            return Err(bad());
        }
        Ok(MapPath { map: map.to_owned(), key, cpu, members: members.to_owned() })
    }
}

impl fmt::Display for MapPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.map, self.key)?;
        if let Some(cpu) = self.cpu {
            write!(f, "@{cpu}")?;
        }
        f.write_str(&self.members)
    }
}

/// The keys in the order in which they may introduce a line.
const KEYS: [&str; 12] =
    ["loader", "program", "verdict", "errno", "reason", "insn", "cpus", "set", "run", "global", "map", "leaks"];

/// Error numbers that a load can end with, by name.
const ERRORS: [(&str, i32); 10] = [
    ("EPERM", 1),
    ("E2BIG", 7),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EBADF", 9),
    ("EFAULT", 14),
    ("EBUSY", 16),
    ("EINVAL", 22),
    ("EOPNOTSUPP", 95),
    ("ENOTSUPP", 524),
];

/// The mark at the end of the line that the kernel's log shows last before its reason.
const MARK: &str = "// REJECT";

/// A program whose lines have been read so far.
#[derive(Default)]
struct Draft {
    name: String,
    verdict: Option<String>,
    errno: Option<i32>,
    reason: Option<String>,
    insn: Option<u32>,
}

impl Draft {
    fn finish(self, line: Option<usize>) -> Result<ProgramExpectation, String> {
        let name = self.name;
        let missing = |what| format!("program {name} has no {what}");
        let verdict = match self.verdict.as_deref() {
            Some("accept") => {
                if self.errno.is_some() || self.reason.is_some() || self.insn.is_some() {
                    return Err(format!("program {name} is accepted and has errno, reason or insn"));
                }
                Verdict::Accept
            }
            Some("reject") => Verdict::Reject(Rejection {
                errno: self.errno.ok_or_else(|| missing("errno"))?,
                reason: self.reason.ok_or_else(|| missing("reason"))?,
                insn: self.insn,
                line,
            }),
            Some(other) => return Err(format!("verdict `{other}` of program {name} is neither accept nor reject")),
            None => return Err(missing("verdict")),
        };
        Ok(ProgramExpectation { name, verdict })
    }
}

/// What has been read of a file so far.
#[derive(Default)]
struct Reader {
    unprivileged: bool,
    drafts: Vec<Draft>,
    stories: Vec<Story>,
}

impl Reader {
    fn line(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "loader" if value != "unprivileged" => return Err(format!("`{value}` is not `unprivileged`")),
            "loader" if !self.drafts.is_empty() => return Err("it stands below a `program`".to_owned()),
            "loader" => {
                self.unprivileged = true;
                return Ok(());
            }
            "program" => {
                self.drafts.push(Draft { name: value.to_owned(), ..Draft::default() });
                return Ok(());
            }
            "cpus" => {
                self.stories.push(Story { cpus: parse_cpus(value)?, ..Story::default() });
                return Ok(());
            }
            "verdict" | "errno" | "reason" | "insn" => {
                let draft = self.drafts.last_mut().ok_or("it stands before any `program`")?;
                return program_line(draft, key, value);
            }
            _ => {}
        }
        let story = self.stories.last_mut().ok_or("it stands before any `cpus`")?;
        story_line(story, key, value)
    }
}

fn program_line(draft: &mut Draft, key: &str, value: &str) -> Result<(), String> {
    let twice = match key {
        "verdict" => draft.verdict.replace(value.to_owned()).is_some(),
        "errno" => {
            let named = ERRORS.iter().find(|(name, _)| *name == value);
            draft.errno.replace(named.ok_or_else(|| format!("unknown error {value}"))?.1).is_some()
        }
        "reason" => draft.reason.replace(value.to_owned()).is_some(),
        _ => draft.insn.replace(number(value)?).is_some(),
    };
    if twice { Err(format!("program {} has a second {key}", draft.name)) } else { Ok(()) }
}

fn story_line(story: &mut Story, key: &str, value: &str) -> Result<(), String> {
    match key {
        "set" => {
            let (name, amount) = value.split_once('=').ok_or("write NAME=VALUE")?;
            story.set.push((name.to_owned(), Amount::parse(amount)?));
        }
        "run" => story.steps.push(parse_step(value)?),
        "global" => {
            let (name, amount) = value.split_once(" = ").ok_or("write NAME = VALUE")?;
            story.globals.push((name.to_owned(), Amount::parse(amount)?));
        }
        "map" => {
            let (path, amount) = value.split_once(" = ").ok_or("write MAP[KEY].MEMBER = VALUE")?;
            story.maps.push((MapPath::parse(path)?, Amount::parse(amount)?));
        }
        _ => story.leaks = Some(number(value)?),
    }
    Ok(())
}

fn parse_cpus(value: &str) -> Result<Vec<u32>, String> {
    let cpus = value.split_whitespace().map(number).collect::<Result<Vec<_>, _>>()?;
    if cpus.is_empty() || cpus.contains(&0) {
        return Err("write at least one number of CPUs, each at least 1".to_owned());
    }
    Ok(cpus)
}

fn parse_step(value: &str) -> Result<Step, String> {
    let (target, outcome) = if let Some((target, amount)) = value.split_once(" = ") {
        (target, Outcome::Returns(Amount::parse(amount)?))
    } else if let Some((target, fault)) = value.split_once(" faults ") {
        (target, Outcome::Faults(fault.to_owned()))
    } else if let Some((target, what)) = value.split_once(" unsupported ") {
        (target, Outcome::Unsupported(what.to_owned()))
    } else {
        (value, Outcome::ReturnsAnything)
    };
    let (program, cpu) = match target.split_once('@') {
        Some((program, cpu)) => (program, number(cpu)?),
        None => (target, 0),
    };
    Ok(Step { program: program.to_owned(), cpu, outcome })
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// The key and value of a `// key: value` line.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix("// ")?.split_once(": ")?;
    KEYS.contains(&key).then_some((key, value.trim()))
}

impl Expectations {
    /// Reads a file's expectations.
    ///
    /// # Errors
    /// Says which line is wrong and how, or what is missing.
    pub fn parse(text: &str) -> Result<Expectations, String> {
        let mut reader = Reader::default();
        let mut mark = None;
        let mut in_code = false;
        for (number, line) in (1..).zip(text.lines()) {
            in_code |= line.starts_with('#');
            if let Some((key, value)) = key_and_value(line) {
                if in_code {
                    return Err(format!("line {number}: `{key}` stands below the first line of code"));
                }
                reader.line(key, value).map_err(|error| format!("line {number}: {key}: {error}"))?;
            }
            if in_code && line.ends_with(MARK) && mark.replace(number).is_some() {
                return Err(format!("line {number}: a second {MARK}"));
            }
        }
        let programs = reader.drafts.into_iter().map(|draft| draft.finish(mark)).collect::<Result<Vec<_>, _>>()?;
        let rejections = programs.iter().filter(|program| program.verdict != Verdict::Accept).count();
        if mark.is_some() && rejections != 1 {
            return Err(format!("{MARK} needs exactly one rejected program, and there are {rejections}"));
        }
        let expectations = Expectations { unprivileged: reader.unprivileged, programs, stories: reader.stories };
        expectations.check()?;
        Ok(expectations)
    }

    /// What one program is expected to get.
    pub fn of(&self, program: &str) -> Option<&ProgramExpectation> {
        self.programs.iter().find(|expected| expected.name == program)
    }

    fn check(&self) -> Result<(), String> {
        if self.programs.is_empty() {
            return Err("there is no `// program: NAME`".to_owned());
        }
        for (index, program) in self.programs.iter().enumerate() {
            if self.programs[..index].iter().any(|other| other.name == program.name) {
                return Err(format!("program {} is there twice", program.name));
            }
        }
        self.stories.iter().try_for_each(|story| self.check_story(story))
    }

    fn check_story(&self, story: &Story) -> Result<(), String> {
        if story.steps.is_empty() {
            return Err("`cpus` without a `run`".to_owned());
        }
        let fewest = story.cpus.iter().copied().min().unwrap_or(0);
        for (index, step) in story.steps.iter().enumerate() {
            if self.of(&step.program).is_none() {
                return Err(format!("`run` names {}, which is no program of this file", step.program));
            }
            if step.cpu >= fewest {
                return Err(format!(
                    "{} runs on CPU {}, and the smallest machine has {fewest}",
                    step.program, step.cpu
                ));
            }
            let ends = matches!(step.outcome, Outcome::Faults(_) | Outcome::Unsupported(_));
            if ends && index + 1 != story.steps.len() {
                return Err(format!("{} does not return, and more steps follow", step.program));
            }
        }
        Ok(())
    }
}
