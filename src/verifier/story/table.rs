//! For each rule: what its story is about, what stands at the rejected line, and what would satisfy the rule.
//!
//! Texts hold placeholders in braces: a rule's field by its name, or `{value}` (what the value is that the rule is
//! about), `{held}` (what is held), `{release}` (how to be rid of it), `{call}` (the helper or kfunc that is called), `{p}`
//! (what the source calls the pointer), `{reach}` (how far the access goes, after a colon). A help of the form `{advice|text}` is about the value where it says enough, else the text.
//! Rules without a row have rule, line and path, and the title of their page in place of a label. The families of ownership have all of theirs here.

/// What the story of a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Only which way the path went.
    Path,
    /// The reference of the field `id`, or the first that is held.
    Held,
    /// A section.
    Section(Section),
    /// The value in the register of that field.
    Register(&'static str),
    /// The value in the register whose number is that field's, plus the number.
    Argument(&'static str, i64),
    /// The value in the register of that number.
    Nth(u8),
    /// The number in the register of that field, or by which the pointer in it was moved: where it came from, and which branches led on.
    Bounds(&'static str),
    /// What the program or function returns.
    Result,
    /// What is on the stack at the offset of that field.
    Slot(&'static str),
    /// The object among a call's arguments: the first that the program does not own, or the first.
    Object,
    /// The pointer that memory is accessed through, or a call's first argument.
    Base,
}

impl Subject {
    /// Does it matter which way the path went, beyond null checks of the value?
    #[must_use]
    pub fn needs_branches(self) -> bool {
        matches!(self, Subject::Path | Subject::Held | Subject::Section(_) | Subject::Bounds(_) | Subject::Result)
    }
}

/// A section of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Under `bpf_spin_lock`.
    Lock,
    /// Inside `bpf_rcu_read_lock`.
    Rcu,
    /// With preemption disabled.
    Preempt,
}

impl Section {
    /// What happens where it is entered.
    #[must_use]
    pub fn entered(self) -> &'static str {
        match self {
            Section::Lock => "the lock is taken here",
            Section::Rcu => "the RCU section begins here",
            Section::Preempt => "preemption is disabled here",
        }
    }

    /// What happens where it is left.
    #[must_use]
    pub fn left(self) -> &'static str {
        match self {
            Section::Lock => "the lock was given back here already",
            Section::Rcu => "the RCU section ended here already",
            Section::Preempt => "preemption was enabled here already",
        }
    }
}

/// A row: for one rule.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The rule's id.
    pub id: &'static str,
    /// What its story is about.
    pub subject: Subject,
    /// What stands at the line that is refused.
    pub label: &'static str,
    /// What would satisfy the rule.
    pub help: &'static str,
}

/// The row of a rule.
#[must_use]
pub fn of(id: &str) -> Option<&'static Row> {
    super::rows::TABLES.iter().flat_map(|table| table.iter()).find(|row| row.id == id)
}

/// What stands for a placeholder where the path does not tell.
#[must_use]
pub fn unknown(name: &str) -> &'static str {
    match name {
        "value" => "what it is given",
        "held" => "the object",
        "release" => "the function that belongs to it releases it",
        "call" => "the function",
        "p" => "p",
        "reach" => "",
        _ => "it",
    }
}
