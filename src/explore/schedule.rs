//! A schedule as a short text: what a failing run prints, and what repeats it on any machine.
//!
//! `ks1:0x3,1,0.1x2:9c1f0e5a77b2d310:examples/race.toml:5d0c9e21` is version 1; three steps of actor 0, one of actor 1, two of actor 0 by branch
//! 1; the digest of the scenario, or `-`; its name, with whatever could confuse a shell written as `%` and two digits; a checksum of it all.

use std::fmt;
use std::str::FromStr;

use super::causality::Mixer;
use super::system::{Actor, Choice};

const VERSION: &str = "ks1";
/// Steps that a token may name.
pub const MAX_STEPS: usize = 1 << 24;

/// The choices of a run, and what they are choices of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Step by step.
    pub choices: Vec<Choice>,
    /// A digest of the scenario that the choices belong to.
    pub digest: Option<u64>,
    /// What the scenario is called: a path, for instance.
    pub name: String,
}

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not of this sort, or of another version.
    #[error("a schedule begins with `{VERSION}:`, not with `{0}`")]
    Version(String),
    /// Too few or too many parts.
    #[error("a schedule has 5 parts with colons between them, not {0}; was it cut off?")]
    Parts(usize),
    /// The checksum is that of another text.
    #[error("the checksum is `{found}` and should be `{expected}`: a character was lost or changed")]
    Checksum {
        /// What the rest of the text calls for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A part that cannot be read.
    #[error("`{text}` is not {what}")]
    Part {
        /// What is there.
        text: String,
        /// What should be.
        what: &'static str,
    },
    /// More steps than a token may name.
    #[error("it has more than {MAX_STEPS} steps")]
    TooLong,
}

impl Schedule {
    /// How often the run goes over to another actor.
    #[must_use]
    pub fn switches(&self) -> usize {
        switches(&self.choices)
    }
}

/// How often a run goes over to another actor.
#[must_use]
pub fn switches(choices: &[Choice]) -> usize {
    choices.windows(2).filter(|pair| pair[0].actor != pair[1].actor).count()
}

/// How many actors take part in a run.
#[must_use]
pub fn actors(choices: &[Choice]) -> usize {
    choices.iter().map(|choice| choice.actor).collect::<std::collections::BTreeSet<_>>().len()
}

fn checksum(text: &str) -> String {
    let mut hash = Mixer::default();
    text.bytes().for_each(|byte| hash.add(u64::from(byte)));
    format!("{:08x}", hash.finish() as u32)
}

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.choices.chunk_by(|one, other| one == other).map(|run| {
            let Choice { actor, branch } = run[0];
            let branch = if branch == 0 { String::new() } else { format!(".{branch}") };
            let times = if run.len() == 1 { String::new() } else { format!("x{}", run.len()) };
            format!("{}{branch}{times}", actor.0)
        });
        let runs = runs.collect::<Vec<_>>().join(",");
        let digest = self.digest.map_or("-".to_owned(), |digest| format!("{digest:016x}"));
        let text = format!("{VERSION}:{runs}:{digest}:{}", escape(&self.name));
        write!(out, "{text}:{}", checksum(&text))
    }
}

fn escape(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'+' | b'=' | b',' | b'@' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// `0.1x3`: actor, branch, times.
fn parse_run(text: &str) -> Option<(Choice, usize)> {
    let (choice, times) = text.split_once('x').map_or((text, "1"), |parts| parts);
    let (actor, branch) = choice.split_once('.').map_or((choice, "0"), |parts| parts);
    let choice = Choice { actor: Actor(actor.parse().ok()?), branch: branch.parse().ok()? };
    let times = times.parse().ok().filter(|times| *times > 0)?;
    Some((choice, times))
}

impl FromStr for Schedule {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Schedule, TokenError> {
        let text = text.trim();
        let bad = |text: &str, what| TokenError::Part { text: text.to_owned(), what };
        let parts: Vec<&str> = text.split(':').collect();
        if parts[0] != VERSION {
            return Err(TokenError::Version(parts[0].chars().take(16).collect()));
        }
        let [_, runs, digest, name, sum] = parts[..] else { return Err(TokenError::Parts(parts.len())) };
        let expected = checksum(&text[..text.len() - sum.len() - 1]);
        if sum != expected {
            return Err(TokenError::Checksum { expected, found: sum.to_owned() });
        }
        let mut choices = Vec::new();
        for run in runs.split(',').filter(|_| !runs.is_empty()) {
            let (choice, times) =
                parse_run(run).ok_or_else(|| bad(run, "an actor with its branch and number of steps"))?;
            if times > MAX_STEPS - choices.len() {
                return Err(TokenError::TooLong);
            }
            choices.extend(std::iter::repeat_n(choice, times));
        }
        let digest = match digest {
            "-" => None,
            digest => Some(u64::from_str_radix(digest, 16).map_err(|_| bad(digest, "a digest"))?),
        };
        let name = unescape(name).ok_or_else(|| bad(name, "a name"))?;
        Ok(Schedule { choices, digest, name })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Schedule {
        let choice = |actor, branch| Choice { actor: Actor(actor), branch };
        let choices = vec![choice(0, 0), choice(0, 0), choice(1, 0), choice(0, 1)];
        Schedule { choices, digest: Some(0x1f), name: "a b/c.toml".to_owned() }
    }

    #[test]
    fn a_token_is_short_and_safe_in_a_shell() {
        let token = example().to_string();
        assert!(token.starts_with("ks1:0x2,1,0.1:000000000000001f:a%20b/c.toml:"), "{token}");
    }

    #[test]
    fn a_broken_token_says_what_is_wrong() {
        let token = example().to_string();
        let error = |text: &str| text.parse::<Schedule>().expect_err("broken").to_string();
        assert!(error(&token.replace("ks1", "ks9")).contains("begins with `ks1:`, not with `ks9`"));
        assert!(error(&token[..token.len() - 12]).contains("cut off"));
        assert!(error(&token.replace("0x2", "0x3")).contains("checksum"));
        let body = "ks1:0x0:-:";
        assert_eq!(
            error(&format!("{body}:{}", checksum(body))),
            "`0x0` is not an actor with its branch and number of steps"
        );
        let body = "ks1:0x99999999:-:";
        assert_eq!(error(&format!("{body}:{}", checksum(body))), TokenError::TooLong.to_string());
        assert_eq!(error(""), "a schedule begins with `ks1:`, not with ``");
    }

    proptest! {
        #[test]
        fn every_schedule_comes_back(
            steps in prop::collection::vec((0..4_u16, 0..2_u16), 0..40),
            digest in prop::option::of(any::<u64>()),
            name in ".{0,20}",
        ) {
            let choices = steps.into_iter().map(|(actor, branch)| Choice { actor: Actor(actor), branch }).collect();
            let schedule = Schedule { choices, digest, name };
            prop_assert_eq!(schedule.to_string().parse::<Schedule>(), Ok(schedule));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(ks1)?[:0-9x.,%a-f-]{0,40}") {
            let _ = text.parse::<Schedule>();
        }
    }
}
