//! Words for values, what would make them fit, and ways to give something back.

use crate::verifier::path::PointerField;

/// What a value is, from the text that the log has for it: `a pointer to struct task_struct, maybe NULL`.
#[must_use]
pub fn of_value(text: &str) -> String {
    let (name, rest) = text.split_once('(').unwrap_or((text, ""));
    if text.is_empty() {
        return "nothing that may be read".to_owned();
    }
    if name.starts_with("fp") {
        return "a pointer into the stack".to_owned();
    }
    if name.trim_start_matches('P') == "scalar" {
        return of_number(rest);
    }
    if name.trim_start_matches('P').trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit()) {
        return known_number(name.trim_start_matches('P'));
    }
    let nullable = name.contains("_or_null");
    let mut words = if let Some(noun) = NOUNS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        noun.1.to_owned()
    } else {
        of_object(name)
    };
    if let Some(map) = within(rest, "map=") {
        words.push_str(&format!(" of map `{map}`"));
    }
    if rest.contains("non_own_ref") {
        words.push_str(", owned by a list or tree");
    } else if rest.contains("ref_obj_id=") {
        words.push_str(", owned by the program");
    }
    if nullable {
        words.push_str(", maybe NULL");
    }
    words
}

/// A number that is known. Functions that return an `int` leave negative ones as large ones.
fn known_number(text: &str) -> String {
    let number = parsed(text).and_then(|number| u32::try_from(number).ok()).map(u32::cast_signed);
    match number.filter(|number| *number < 0) {
        Some(number) => format!("the number {text} ({number} as an `int`)"),
        None => format!("the number {text}"),
    }
}

/// A number of which a range is known, by what stands in brackets.
fn of_number(rest: &str) -> String {
    let bound = |key: &str| number_in(rest, key);
    match (bound("umin="), bound("umax="), bound("smin="), bound("smax=")) {
        (None | Some(0), Some(0xffff_ffff), ..) => "any 32-bit number".to_owned(),
        (least, Some(most), ..) => format!("a number from {} to {most}", least.unwrap_or(0)),
        (_, None, Some(least), Some(most)) => format!("a number from {least} to {most}"),
        (_, None, Some(least), None) => format!("a number that is at least {least}"),
        (Some(least), None, None, _) => format!("a number that is at least {least}"),
        (None, None, None, Some(most)) => format!("a number that is at most {most}, maybe negative"),
        (None, None, None, None) => "a number that is not known".to_owned(),
    }
}

/// How far an access through a pointer reaches, by the pointer's text: after a colon, to be appended.
#[must_use]
pub fn reach(text: &str) -> Option<String> {
    let (name, rest) = text.split_once('(')?;
    if name == "pkt" {
        return Some(match number_in(rest, "r=") {
            Some(bytes) if bytes > 0 => format!(": only the first {bytes} bytes behind it were compared with the end"),
            _ => ": nothing of it was compared with the end".to_owned(),
        });
    }
    let size = number_in(rest, "vs=").filter(|_| name == "map_value")?;
    let start = number_in(rest, "off=").unwrap_or(0);
    let most = number_in(rest, "umax=").filter(|most| *most < 1 << 32)?;
    let begins = start.checked_add(most)?;
    Some(format!(": the access may begin at byte {begins}, and the value's last byte is {}", size.checked_sub(1)?))
}

/// A field that is declared as a pointer, where the verifier takes it for a number.
#[must_use]
pub fn taken_for_number(field: &PointerField) -> String {
    match field {
        PointerField::Untagged { to } => format!(
            "declared as a pointer to {to}, but nothing says that it owns its object, so that the verifier takes it for a number"
        ),
        PointerField::Incomplete { to } => format!(
            "declared as a pointer to {to}, of which the program's types have no more than the name, so that the verifier takes it \
             for a number"
        ),
    }
}

/// What makes a pointer of such a field.
#[must_use]
pub fn as_pointer(field: &PointerField) -> String {
    match field {
        PointerField::Untagged { to } => format!(
            "tag the field as `{to} __kptr *…` if it is to own an object, put one there with `bpf_kptr_xchg()`, and check what is \
             loaded for NULL; memory that nobody owns is read with `bpf_probe_read_kernel()`"
        ),
        PointerField::Incomplete { to } => format!(
            "make the compiler keep {to}, which the map's value only points to: give the value a member of that type, such as \
             `{to} unused;`"
        ),
    }
}

/// What the kernel's names of pointers begin with, but for those to objects.
const NOUNS: [(&str, &str); 14] = [
    ("map_value", "a pointer to a value"),
    ("map_key", "a pointer to a key"),
    ("map_ptr", "a map"),
    ("ctx", "the program's context"),
    ("pkt_meta", "a pointer to the packet's metadata"),
    ("pkt_end", "the end of the packet"),
    ("pkt", "a pointer into the packet"),
    ("ringbuf_mem", "a record of a ring buffer"),
    ("rdonly_mem", "a pointer to memory that must not be written"),
    ("mem", "a pointer to memory"),
    ("sock", "a socket"),
    ("tcp_sock", "a TCP socket"),
    ("func", "a function"),
    ("arena", "a pointer into the arena"),
];

/// A pointer to an object: how it is held, of what type.
fn of_object(name: &str) -> String {
    let Some((flags, ty)) = name.split_once("ptr_") else { return format!("`{name}`") };
    let ty = ty.strip_prefix("or_null_").unwrap_or(ty);
    let kind = if flags.contains("percpu_") { "a per-CPU pointer" } else { "a pointer" };
    let trust = if flags.contains("untrusted_") {
        "untrusted"
    } else if flags.contains("rcu_") {
        "borrowed under RCU"
    } else if flags.contains("trusted_") {
        "trusted"
    } else {
        ""
    };
    let object = if ty.is_empty() { "an object".to_owned() } else { format!("struct {ty}") };
    let comma = if trust.is_empty() { "" } else { ", " };
    format!("{kind} to {object}{comma}{trust}")
}

/// What stands behind `key` in a list with commas, brackets and all.
fn within<'t>(list: &'t str, key: &str) -> Option<&'t str> {
    let start = list.find(key)? + key.len();
    let rest = &list[start..];
    Some(&rest[..rest.find([',', ')']).unwrap_or(rest.len())])
}

/// A number that stands behind `key` in a list where several keys may share one: `smax=umax=0xff`.
#[must_use]
pub fn number_in(list: &str, key: &str) -> Option<i128> {
    let starts = |at: usize| list[..at].chars().next_back().is_none_or(|before| "(,=".contains(before));
    let (at, _) = list.match_indices(key).find(|(at, _)| starts(*at))?;
    let entry = &list[at..];
    let entry = &entry[..entry.find([',', ')']).unwrap_or(entry.len())];
    parsed(entry.rsplit('=').next()?)
}

fn parsed(text: &str) -> Option<i128> {
    match text.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The reference that a value carries, by its text.
#[must_use]
pub fn reference_in(text: &str) -> Option<u32> {
    within(text, "ref_obj_id=").or_else(|| within(text, "ref_id=")).and_then(|id| id.parse().ok())
}

/// The identity that a value has, by its text.
#[must_use]
pub fn identity_in(text: &str) -> Option<u32> {
    within(text, "(id=").and_then(|id| id.parse().ok())
}

/// How something came to be held.
#[must_use]
pub fn acquired(what: &str, call: &str) -> String {
    if what.starts_with("an iterator") {
        return format!("{what} begins here, by {call}");
    }
    format!("{what} is acquired here, by {call}")
}

/// What would make a value fit, by what it is in words.
const ADVICE: [(&str, &str); 5] = [
    ("owned by a list or tree", "take it out of the list or tree first: what was popped or removed is yours"),
    (
        "untrusted",
        "what it points to may be gone: take a reference, with `bpf_kptr_xchg()` out of a field tagged `__kptr`, or with a \
         function that acquires one",
    ),
    ("maybe NULL", "check the pointer first: `if (!{p}) return 0;`"),
    (
        "borrowed under RCU",
        "what is in a map's field belongs to the map: `bpf_kptr_xchg(&value->field, NULL)` takes it out and makes it yours",
    ),
    ("the number 0", "this is NULL: pass a pointer that was checked not to be"),
];

/// What is to be done with an untrusted pointer where RCU sections are the program's own affair.
const IN_ONE_SECTION: &str = "load the pointer and use it inside one `bpf_rcu_read_lock()` section, or take it out of its \
                              field with `bpf_kptr_xchg()`";

/// What is to be done before a CPU's copy of an object is reached that is still the program's own.
const PUBLISH_FIRST: &str = "an owned object's copies cannot be reached: move it into a map's field with `bpf_kptr_xchg()`, \
                             and load the field inside an RCU section";

/// What is to be done before a per-CPU object is accessed.
const ONE_COPY: &str = "get one CPU's copy first, while the pointer is borrowed: `bpf_this_cpu_ptr({p})`, or \
                        `bpf_per_cpu_ptr({p}, cpu)` checked for NULL";

/// What would make a value fit where it does not: as an argument of a call, in a program that may sleep or not, where memory
/// is accessed through the value or not.
#[must_use]
pub fn advice(value: &str, call: Option<&str>, sleepable: bool, accessed: bool) -> Option<&'static str> {
    let unchecked = value.contains("maybe NULL");
    let reaches_copy = call.is_some_and(|call| ["bpf_this_cpu_ptr", "bpf_per_cpu_ptr"].contains(&call));
    if reaches_copy && value.contains("owned by the program") && !unchecked {
        return Some(PUBLISH_FIRST);
    }
    if accessed && value.contains("per-CPU") && !unchecked {
        return Some(ONE_COPY);
    }
    if sleepable && value.contains("untrusted") {
        return Some(IN_ONE_SECTION);
    }
    // Nothing is wrong with a value that the program owns: it is not what is asked for.
    let fits = value.contains("owned by the program") && !unchecked;
    ADVICE.iter().find(|(part, _)| value.contains(part) && !fits).map(|(_, advice)| *advice)
}

/// A kfunc as programs write it: without the ending of those that take the type's id.
#[must_use]
pub fn as_written(function: &str) -> &str {
    function.strip_suffix("_impl").unwrap_or(function)
}

/// Ways to be rid of what a function gave, in words; by the beginning of its name.
const GIVEN_BACK: [(&str, &str); 12] = [
    ("bpf_percpu_obj_new", "`bpf_percpu_obj_drop()` frees it, `bpf_kptr_xchg()` hands it to a map's field"),
    ("bpf_obj_new", "`bpf_obj_drop()` frees it, `bpf_kptr_xchg()`, a list or a tree takes it over"),
    ("bpf_refcount_acquire", "`bpf_obj_drop()` gives it back, `bpf_kptr_xchg()`, a list or a tree takes it over"),
    ("bpf_list_pop", "`bpf_obj_drop()` frees it, `bpf_list_push_front()` and its like put it back"),
    ("bpf_rbtree_remove", "`bpf_obj_drop()` frees it, `bpf_rbtree_add()` and its like put it back"),
    (
        "bpf_ringbuf_reserve_dynptr",
        "`bpf_ringbuf_submit_dynptr()` or `bpf_ringbuf_discard_dynptr()` ends it, even if the reservation failed",
    ),
    ("bpf_ringbuf_reserve", "`bpf_ringbuf_submit()` or `bpf_ringbuf_discard()` ends it"),
    ("bpf_sk", "`bpf_sk_release()` gives it back"),
    ("bpf_map_lookup_elem", "`bpf_sk_release()` gives it back"),
    ("bpf_cpumask_create", "`bpf_cpumask_release()` gives it back, `bpf_kptr_xchg()` hands it to a map's field"),
    ("bpf_task_", "`bpf_task_release()` gives it back, `bpf_kptr_xchg()` hands it to a map's field"),
    ("bpf_cgroup_", "`bpf_cgroup_release()` gives it back, `bpf_kptr_xchg()` hands it to a map's field"),
];

/// The same by what is held, for functions that give many kinds of things.
const GIVEN_BACK_BY_KIND: [(&str, &str); 6] = [
    ("per-CPU object", "`bpf_percpu_obj_drop()` frees it, `bpf_kptr_xchg()` hands it to a map's field"),
    ("task_struct", "`bpf_task_release()` gives it back, `bpf_kptr_xchg()` hands it to a map's field"),
    ("bpf_cpumask", "`bpf_cpumask_release()` gives it back, `bpf_kptr_xchg()` hands it to a map's field"),
    ("struct cgroup", "`bpf_cgroup_release()` gives it back, `bpf_kptr_xchg()` hands it to a map's field"),
    (
        "an object",
        "`bpf_obj_drop()` or the function that is meant for it frees it, `bpf_kptr_xchg()` hands it to a map's field",
    ),
    ("", "the function that belongs to it releases it"),
];

/// How to be rid of something, by the function that gave it and what it is.
#[must_use]
pub fn ways_back(by: &str, what: &str) -> String {
    if let Some(kind) = by.strip_prefix("bpf_iter_").and_then(|rest| rest.strip_suffix("_new")) {
        return format!("`bpf_iter_{kind}_destroy()` ends it; `bpf_for_each()` calls it by itself");
    }
    let by_name = GIVEN_BACK.iter().find(|(start, _)| by.starts_with(start));
    let by_kind = GIVEN_BACK_BY_KIND.iter().find(|(part, _)| what.contains(part));
    by_name.or(by_kind).map_or_else(String::new, |(_, words)| (*words).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_words() {
        for (text, words) in [
            ("fp-8", "a pointer into the stack"),
            ("P0", "the number 0"),
            ("scalar(smin=0,smax=umax=7,var_off=(0x0; 0x7))", "a number from 0 to 7"),
            ("scalar(smin=umin=5,smax=umax=0x7fff)", "a number from 5 to 32767"),
            ("scalar(smin=-4095,smax=0)", "a number from -4095 to 0"),
            ("scalar(smin=0,smax=umax=0xffffffff)", "any 32-bit number"),
            ("scalar()", "a number that is not known"),
            ("0xfffffff3", "the number 0xfffffff3 (-13 as an `int`)"),
            ("map_value_or_null(id=1,map=slots,ks=4,vs=8)", "a pointer to a value of map `slots`, maybe NULL"),
            ("percpu_rcu_ptr_or_null_val_t(id=3)", "a per-CPU pointer to struct val_t, borrowed under RCU, maybe NULL"),
            ("ptr_node(ref_obj_id=2)", "a pointer to struct node, owned by the program"),
            ("untrusted_ptr_task_struct()", "a pointer to struct task_struct, untrusted"),
            ("", "nothing that may be read"),
        ] {
            assert_eq!(of_value(text), words);
        }
        assert_eq!(reference_in("ptr_node(id=2,ref_obj_id=12,off=8)"), Some(12));
        assert_eq!(reference_in("iter_num(ref_id=3,state=active,depth=0)"), Some(3));
        assert_eq!(reference_in("scalar()"), None);
        assert_eq!(identity_in("map_value_or_null(id=7,map=slots)"), Some(7));
        assert_eq!(identity_in("ptr_node(ref_obj_id=2)"), None);
        let reaches = |text, words: &str| assert_eq!(reach(text).as_deref(), Some(words));
        reaches(
            "map_value(map=m,ks=4,vs=96,off=8,smin=0,smax=umax=88)",
            ": the access may begin at byte 96, and the value's last byte is 95",
        );
        reaches("pkt(id=1,off=16,r=0)", ": nothing of it was compared with the end");
        reaches("pkt(off=8,r=34)", ": only the first 34 bytes behind it were compared with the end");
        assert_eq!(reach("map_value(map=m,ks=4,vs=96)"), None);
    }

    #[test]
    fn what_helps_depends_on_what_the_value_is() {
        let value = |text| of_value(text);
        assert_eq!(advice(&value("ptr_node(ref_obj_id=2)"), None, false, false), None);
        assert!(
            advice(&value("ptr_or_null_node(ref_obj_id=2)"), None, false, false)
                .is_some_and(|text| text.contains("!{p}"))
        );
        let percpu = value("percpu_ptr_val_t(ref_obj_id=2)");
        assert_eq!(advice(&percpu, None, false, false), None);
        assert_eq!(advice(&percpu, Some("bpf_this_cpu_ptr"), false, false), Some(PUBLISH_FIRST));
        assert!(advice(&percpu, None, false, true).is_some_and(|text| text.contains("bpf_this_cpu_ptr")));
        let untrusted = value("untrusted_ptr_or_null_task_struct(id=1)");
        assert_eq!(advice(&untrusted, None, true, false), Some(IN_ONE_SECTION));
        assert!(advice(&untrusted, None, false, false).is_some_and(|text| text.contains("take a reference")));
    }
}
