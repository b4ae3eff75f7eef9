//! Which rows are shown, in which order: veristat's filters (`-f`), sort orders (`-s`) and lists of columns (`-e`).

use std::str::FromStr;

use super::{Column, Stat, VERDICTS};

/// Which side of a comparison, or what of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The baseline (`_a`).
    A,
    /// What is compared with it (`_b`); also meant where no variant is named.
    B,
    /// B less A (`_diff`); of verdicts 1 if they are the same, else 0.
    Difference,
    /// That in per cent of A (`_pct`).
    Percent,
}

/// A value that rows have: `insns`, `insns_a`, `insns_diff`, `|insns_pct|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The column.
    pub column: Column,
    /// Of which side.
    pub variant: Variant,
    /// Without its sign?
    pub absolute: bool,
}

const SUFFIXES: [(&str, Variant); 4] =
    [("_a", Variant::A), ("_b", Variant::B), ("_diff", Variant::Difference), ("_pct", Variant::Percent)];

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Measure, String> {
        let inside = text.strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
        let name = inside.unwrap_or(text);
        let plain = Column::from_name(name).map(|column| (column, Variant::B));
        let with_suffix = || {
            SUFFIXES
                .iter()
                .find_map(|&(suffix, variant)| Some((Column::from_name(name.strip_suffix(suffix)?)?, variant)))
        };
        let (column, variant) = plain.or_else(with_suffix).ok_or_else(|| {
            let known = Column::names();
            format!("there is no column `{name}`; there are {known}, each with _a, _b, _diff or _pct behind it")
        })?;
        Ok(Measure { column, variant, absolute: inside.is_some() })
    }
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==` or `=`.
    Equal,
    /// `!=` or `<>`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

/// Longer ones first: `<` is also the start of `<>`.
const OPERATORS: [(&str, Operator); 8] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<>", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    ("<", Operator::Less),
    (">=", Operator::GreaterOrEqual),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

impl Operator {
    /// Does it hold? Numbers that differ by rounding only are equal.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        let equal = (left - right).abs() < 1e-9;
        match self {
            Operator::Equal => equal,
            Operator::NotEqual => !equal,
            Operator::Less => left < right && !equal,
            Operator::LessOrEqual => left < right || equal,
            Operator::Greater => left > right && !equal,
            Operator::GreaterOrEqual => left > right || equal,
        }
    }
}

/// Words for numbers: of verdicts, and of whether two are the same.
const WORDS: [(&[&str], f64); 3] = [
    (&["failure", "fail", "false", "f", "mismatch", "mis"], 0.0),
    (&["success", "succ", "s", "true", "t", "match", "m"], 1.0),
    (&["unsupported", "u"], 2.0),
];

/// A condition on rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A number: `insns_diff>100`, `verdict=failure`.
    Number(Measure, Operator, f64),
    /// A shell pattern that the file's or the program's name fits.
    Either(String),
    /// `FILE/PROGRAM`, each a shell pattern or empty.
    Both(String, String),
}

/// A condition that rows must fulfil, or, with `!` before it, must not.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Are rows left out that fulfil it?
    pub denies: bool,
    /// What is asked.
    pub condition: Condition,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let (denies, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        Ok(Filter { denies, condition: rest.parse()? })
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        let found = OPERATORS.iter().find_map(|&(sign, operator)| Some((text.split_once(sign)?, operator)));
        if let Some(((left, right), operator)) = found {
            let measure: Measure = left.trim().parse()?;
            if !matches!(measure.column, Column::Stat(_)) {
                return Err(format!("`{}` is no number", left.trim()));
            }
            return Ok(Condition::Number(measure, operator, number(right.trim())?));
        }
        match text.split_once('/') {
            Some(("", "")) => Err("an empty filter".to_owned()),
            Some((file, program)) => Ok(Condition::Both(file.to_owned(), program.to_owned())),
            None if text.is_empty() => Err("an empty filter".to_owned()),
            None => Ok(Condition::Either(text.to_owned())),
        }
    }
}

fn number(text: &str) -> Result<f64, String> {
    let word = text.to_lowercase();
    if let Some((_, value)) = WORDS.iter().find(|(words, _)| words.contains(&word.as_str())) {
        return Ok(*value);
    }
    let parsed: Option<f64> = text.strip_suffix('%').unwrap_or(text).parse().ok();
    parsed
        .filter(|value| value.is_finite())
        .ok_or_else(|| format!("`{text}` is neither a number nor one of {}", VERDICTS.join(", ")))
}

/// A measure by which rows are ordered: `insns_diff`, with `^` behind it upwards, with `v` downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// By what.
    pub measure: Measure,
    /// From the least?
    pub ascending: bool,
}

impl FromStr for SortKey {
    type Err = String;

    fn from_str(text: &str) -> Result<SortKey, String> {
        let ordered = text
            .strip_suffix('^')
            .map(|name| (name, true))
            .or_else(|| text.strip_suffix(['v', 'V', '.', '!', '_']).map(|name| (name, false)));
        let (name, order) = ordered.map_or((text, None), |(name, ascending)| (name, Some(ascending)));
        let measure: Measure = name.parse()?;
        let by_itself = !matches!(measure.column, Column::Stat(stat) if stat != Stat::Verdict);
        Ok(SortKey { measure, ascending: order.unwrap_or(by_itself) })
    }
}

/// Does a name fit a shell pattern of `*` and `?`?
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut next) = (0, 0);
    // Where the last star stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pattern.get(next) {
            Some('*') => {
                star = Some((next, at));
                next += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[at] => (at, next) = (at + 1, next + 1),
            _ => match &mut star {
                Some((stands, taken)) => {
                    *taken += 1;
                    (at, next) = (*taken, *stands + 1);
                }
                None => return false,
            },
        }
    }
    pattern[next..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_a_shells_do() {
        for (pattern, name) in [("*", ""), ("a*c", "abbc"), ("a?c", "abc"), ("*.o", "x.bpf.o"), ("*a*b*", "xaybz")] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("a?c", "ac"), ("*.o", "x.c"), ("ab", "abc"), ("a*b", "ba")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn filters_are_veristats() {
        let filter: Filter = "!insns_diff<=-5".parse().expect("a filter");
        let Condition::Number(measure, operator, value) = filter.condition else { panic!("{filter:?}") };
        assert_eq!((measure.variant, operator, value), (Variant::Difference, Operator::LessOrEqual, -5.0));
        assert!(filter.denies);
        let absolute: Condition = "|insns_pct|>5%".parse().expect("a condition");
        assert!(matches!(absolute, Condition::Number(Measure { absolute: true, variant: Variant::Percent, .. }, ..)));
        assert_eq!("a*/p".parse(), Ok(Condition::Both("a*".into(), "p".into())));
        assert_eq!(
            "verdict=Failure".parse::<Condition>().map(|one| matches!(one, Condition::Number(_, _, 0.0))),
            Ok(true)
        );
        for bad in ["", "/", "nothing>1", "file>1", "insns>many"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_goes_up_or_down() {
        let down: SortKey = "insns_diff".parse().expect("a key");
        assert!(!down.ascending, "numbers from the greatest");
        assert!("insns_diff^".parse::<SortKey>().expect("a key").ascending);
        assert!("prog".parse::<SortKey>().expect("a key").ascending);
        assert!(!"verdictv".parse::<SortKey>().expect("a key").ascending);
    }
}
