//! The rows of [`super::table`], one table a family of rules.

use super::table::{Row, Section, Subject};

use Subject::{Argument, Base, Bounds, Held, Nth, Object, Path, Register, Result, Slot};

const LOCK: Subject = Subject::Section(Section::Lock);
const RCU: Subject = Subject::Section(Section::Rcu);
const PREEMPT: Subject = Subject::Section(Section::Preempt);

const fn row(id: &'static str, subject: Subject, label: &'static str, help: &'static str) -> Row {
    Row { id, subject, label, help }
}

/// All tables.
pub const TABLES: [&[Row]; 10] =
    [&REFERENCES, &KPTRS, &SECTIONS, &TRUST, &GRAPHS, &ITERATORS, &DYNPTRS, &MEMORY, &CALLS, &OTHERS];

/// References: acquired, given back, leaked.
#[rustfmt::skip]
const REFERENCES: [Row; 19] = [
    row("unreleased-reference", Held, "{held} is still held when the program ends here",
        "give it back on this path too: {release}"),
    row("tail-call-leaks", Held, "the tail call does not come back, and {held} is still held",
        "give it back before the tail call: {release}"),
    row("legacy-load-leaks", Held, "the load ends the program if it fails, and {held} is still held",
        "give it back before the load: {release}; or read the packet with `bpf_skb_load_bytes()`"),
    row("not-referenced", Register("register"), "`{call}()` gives a reference back, but is given {value}",
        "{advice|pass the pointer that the acquiring function returned, checked for NULL, and only once: what was given back or moved is not yours any more}"),
    row("release-needs-reference", Object, "`{name}()` gives a reference back, but is given {value}",
        "{advice|pass the pointer that the acquiring function returned, checked for NULL, and only once}"),
    row("helper-reference-not-acquired", Object, "`{name}()` is given {value}, which this function does not hold",
        "give back only what was acquired here; a callback cannot give back what its caller holds"),
    row("kfunc-reference-not-acquired", Object, "`{name}()` is given {value}, which this function does not hold",
        "give back only what was acquired here; a callback cannot give back what its caller holds"),
    row("two-references", Register("register"), "two arguments of `{call}()` own something, and it can take only one",
        "call it with one owned pointer"),
    row("owner-unknown", Base, "the object is accessed through {value}, and who owns it is not known",
        "{advice|check the pointer for NULL, and access the object through the pointer that owns it or under the lock of its list or tree}"),
    row("unfit-object", Object, "`{call}()` cannot take {value}",
        "{advice|check the pointer for NULL first; a helper takes objects that are trusted or under RCU, not those that may be gone}"),
    row("allocated-to-helper", Object, "`{call}()` cannot take an object that the program allocated",
        "copy what the helper needs to the stack, and pass that"),
    row("released-with-offset", Register("register"), "`{call}()` needs the pointer to the object's start",
        "pass the pointer as it was acquired; keep it in a variable of its own, and use a copy to reach members"),
    row("allocated-not-referenced", Object, "`{call}()` takes the object over, but the program does not own it",
        "pass a pointer that owns the object: a new one, one that was popped or removed, or one more reference from `bpf_refcount_acquire()`"),
    row("expected-allocated", Argument("index", 1), "`{call}()` needs an object that the program allocated and owns, but is given {value}",
        "{advice|pass what `bpf_obj_new()` returned, checked for NULL; what a map's field or a list owns must be taken out first}"),
    row("expected-for-obj-drop", Argument("index", 1), "`{call}()` is for per-CPU objects, but is given {value}",
        "use `bpf_obj_drop()` for what `bpf_obj_new()` gave"),
    row("expected-for-percpu-obj-drop", Argument("index", 1), "`{call}()` is not for per-CPU objects, but is given {value}",
        "use `bpf_percpu_obj_drop()` for what `bpf_percpu_obj_new()` gave"),
    row("neither-owning-nor-non-owning", Argument("index", 1), "`{call}()` is given {value}, of which no more references can be had",
        "{advice|pass an object that the program owns, or one of a list or tree under its lock; of a pointer from a map's field, take it with `bpf_kptr_xchg()`}"),
    row("no-refcount", Argument("index", 1), "`{call}()` counts references, and the object has nowhere to count them",
        "add a member `struct bpf_refcount ref;` to the struct"),
    row("misconfigured-reference", Path, "the stack slots of the reference are not what they should be",
        "release the dynptr through the variable in which it was made"),
];

/// kptrs: pointers in maps, and the objects that programs allocate for them.
#[rustfmt::skip]
const KPTRS: [Row; 24] = [
    row("special-field-access", Base, "{field} belongs to the kernel: no load or store may touch it",
        "use the helpers and kfuncs that are meant for {field}; leave its bytes alone when you copy or clear the value"),
    row("kptr-by-helper", Base, "`{call}()` would read or write the bytes of a kptr",
        "give the helper only the part of the value beside the kptr"),
    row("kptr-variable-offset", Base, "which kptr is accessed is not known here",
        "make the index a constant, or choose with `if` and one access for each"),
    row("kptr-misaligned", Base, "the access is off the start of the kptr by a part of it",
        "access the pointer as a whole, at its own offset ({expected})"),
    row("kptr-size", Base, "only a part of the kptr is accessed",
        "load or store the whole pointer: eight bytes"),
    row("kptr-instruction-mode", Base, "a kptr is loaded or stored as it is: not atomically, not with a sign",
        "use `bpf_kptr_xchg()` to exchange it at once"),
    row("store-to-referenced-kptr", Base, "a plain store would overwrite the pointer that the field owns, and lose its object",
        "use `bpf_kptr_xchg(&field, new)`: it returns the pointer that was there, which is then yours to release"),
    row("kptr-store-nonzero", Base, "a number is no pointer",
        "store NULL, or a pointer of the field's type"),
    row("kptr-type-mismatch", Register("register"), "the field takes a pointer to struct {expected}, but is given {value}",
        "{advice|give it the pointer that owns such an object, at its start and checked for NULL; the field's tag (`__kptr`, `__percpu_kptr`) and the way the object was allocated must fit}"),
    row("exchange-without-btf", Nth(1), "what lies in map `{map}` is not known",
        "declare the map in `.maps` with the struct as `__type(value, …)`, and compile with `-g`"),
    row("kptr-at-variable-offset", Register("register"), "which kptr is exchanged is not known here",
        "make the index a constant, or choose with `if` and one call for each"),
    row("no-kptr", Register("register"), "`{call}()` exchanges a kptr, but is given {value}",
        "pass the address of a member that is tagged `__kptr` or `__percpu_kptr`, in a map's value that was looked up and checked; the struct that it points to must be complete in this file"),
    row("not-at-kptr", Nth(1), "there is no kptr at offset {offset} of the value",
        "pass the address of the member that is tagged `__kptr` or `__percpu_kptr`"),
    row("kptr-not-referenced", Nth(1), "the kptr at offset {offset} owns nothing: it is tagged `__kptr_untrusted`",
        "tag the member `__kptr` if it is to own its object"),
    row("type-id-out-of-range", Nth(1), "the type's id is no such number",
        "call `bpf_obj_new(typeof(struct …))` and its like, which pass the id of a type of this program"),
    row("allocation-needs-btf", Path, "which type is allocated is not known without types",
        "compile with `-g`"),
    row("allocation-of-no-struct", Path, "only structs can be allocated",
        "put the value into a struct, and allocate that"),
    row("percpu-object-too-large", Path, "a copy for each CPU has {size} bytes, more than the {limit} that there are for one",
        "make the struct smaller, or use a per-CPU map"),
    row("percpu-object-not-scalars", Path, "the struct holds something else than numbers",
        "keep only numbers, and structs and arrays of numbers, in a per-CPU object"),
    row("percpu-object-special-fields", Path, "the struct holds a field that the kernel must clean up for each CPU",
        "keep locks, timers, kptrs, list and tree members out of a per-CPU object"),
    row("read-only-cast-of-no-struct", Path, "only structs can be cast to",
        "pass the id of a struct of the kernel: `bpf_core_type_id_kernel(struct …)`"),
    row("direct-access-to-field", Base, "{field} belongs to the kernel: no load or store may touch it",
        "use the kfuncs that are meant for {field}"),
    row("percpu-memory", Register("register"), "{value}: which CPU's copy is meant is not said",
        "get a CPU's copy first: `bpf_this_cpu_ptr({p})`, or `bpf_per_cpu_ptr({p}, cpu)` checked for NULL"),
    row("write-map-key", Register("register"), "a key must stay as it is",
        "copy the key to the stack, and change the copy"),
];

/// Locks, RCU and preemption sections.
#[rustfmt::skip]
const SECTIONS: [Row; 28] = [
    row("lock-in-tree-callback", Path, "the callback that orders a tree runs under the tree's lock",
        "compare the two nodes and return; take locks outside"),
    row("lock-at-variable-offset", Register("register"), "which lock is meant is not known here",
        "make the index a constant"),
    row("lock-without-btf", Nth(1), "what lies in map `{map}` is not known",
        "declare the map in `.maps` with the struct as `__type(value, …)`, and compile with `-g`"),
    row("no-lock", Nth(1), "`{call}()` is given {value}, which has no `struct bpf_spin_lock`",
        "add a member `struct bpf_spin_lock lock;` to the value's struct, and pass its address"),
    row("not-at-lock", Nth(1), "the lock is at offset {lock}, not at {offset}",
        "pass the address of the member of type `struct bpf_spin_lock`"),
    row("two-locks", LOCK, "another lock is still held here",
        "give the first lock back before you take the second: a program may hold one at a time"),
    row("unlock-without-lock", LOCK, "no lock is held here",
        "take the lock on every way that leads here, and give it back once"),
    row("unlock-of-another", LOCK, "this is not the lock that was taken",
        "give back the same lock, through the same pointer: two lookups of one element count as two locks"),
    row("call-under-lock", LOCK, "`{call}()` may not be called while the lock is held",
        "call it before the lock is taken or after it is given back"),
    row("missing-unlock", LOCK, "the lock is still held when the program ends here",
        "call `bpf_spin_unlock()` on this path too"),
    row("missing-rcu-unlock", RCU, "the RCU section is still open when the program ends here",
        "call `bpf_rcu_read_unlock()` on this path too"),
    row("missing-preempt-enable", PREEMPT, "preemption is still disabled when the program ends here",
        "call `bpf_preempt_enable()` on this path too, as often as `bpf_preempt_disable()`"),
    row("throw-under-lock", LOCK, "the exception would leave the lock held",
        "give the lock back before `bpf_throw()` or `bpf_assert()`"),
    row("throw-in-rcu", RCU, "the exception would leave the RCU section open",
        "call `bpf_rcu_read_unlock()` before `bpf_throw()` or `bpf_assert()`"),
    row("throw-without-preemption", PREEMPT, "the exception would leave preemption disabled",
        "call `bpf_preempt_enable()` before `bpf_throw()` or `bpf_assert()`"),
    row("nested-rcu-lock", RCU, "an RCU section is open already",
        "one section is enough: leave out the inner `bpf_rcu_read_lock()`, or end the outer section first"),
    row("unmatched-rcu-unlock", RCU, "no RCU section is open here",
        "call `bpf_rcu_read_lock()` on every way that leads here, and leave the section once"),
    row("unmatched-preempt-enable", PREEMPT, "preemption is enabled here",
        "call `bpf_preempt_disable()` on every way that leads here"),
    row("sleepable-kfunc-in-rcu", RCU, "`{name}()` may sleep, which no RCU section allows",
        "call it before the section begins or after it ends"),
    row("sleepable-kfunc-without-preemption", PREEMPT, "`{name}()` may sleep, and preemption is disabled",
        "call it after `bpf_preempt_enable()`"),
    row("sleepable-helper-in-rcu", RCU, "`{name}()` may sleep, which no RCU section allows",
        "call it before the section begins or after it ends"),
    row("sleepable-helper-without-preemption", PREEMPT, "`{name}()` may sleep, and preemption is disabled",
        "call it after `bpf_preempt_enable()`"),
    row("tail-call-under-lock", LOCK, "the tail call does not come back, and the lock is still held",
        "give the lock back before the tail call"),
    row("tail-call-in-rcu", RCU, "the tail call does not come back, and the RCU section is still open",
        "call `bpf_rcu_read_unlock()` before the tail call"),
    row("tail-call-without-preemption", PREEMPT, "the tail call does not come back, and preemption is still disabled",
        "call `bpf_preempt_enable()` before the tail call"),
    row("legacy-load-inside", LOCK, "the load ends the program if it fails, and the section is still open",
        "read the packet before the section, or with `bpf_skb_load_bytes()`"),
    row("use-static-function", LOCK, "a global function is checked on its own, without the section that is open here",
        "make the function `static`, so that it is checked where it is called"),
    row("iterator-outside-rcu", RCU, "`{name}()` walks what RCU keeps alive, and the section in which the iterator began is over",
        "keep `bpf_rcu_read_lock()` until the iterator is destroyed"),
];

/// How far a pointer may be trusted.
#[rustfmt::skip]
const TRUST: [Row; 14] = [
    row("must-be-rcu", Register("register"), "`{call}()` needs a pointer that RCU keeps alive, but is given {value}",
        "{advice|load the pointer and use it inside one `bpf_rcu_read_lock()` section; load it again after the section}"),
    row("must-be-trusted", Register("register"), "`{call}()` needs a pointer that is known to be alive, but is given {value}",
        "{advice|pass one that is owned (from an acquiring function or `bpf_kptr_xchg()`) or an argument of the program; of a pointer that was loaded, take a reference first}"),
    row("nullable-to-trusted", Argument("index", 1), "`{call}()` needs an object, but is given {value}",
        "check the pointer first: `if (!{p}) return 0;`"),
    row("nullable-to-helper", Register("register"), "`{call}()` needs an object, but is given {value}",
        "check the pointer first: `if (!{p}) return 0;`"),
    row("invalid-memory-access", Register("register"), "memory is accessed through {value}",
        "{advice|use a pointer that is valid here: check it for NULL, and do not use it after it was released, moved, or its section ended}"),
    row("argument-type", Register("register"), "`{call}()` cannot take {value}",
        "{advice|pass what the function takes; a pointer that may be NULL must be checked first, and one that was released or moved must not be used}"),
    row("argument-struct", Register("register"), "`{call}()` takes a pointer to struct {wanted}, but is given {value}",
        "pass a pointer to that struct; another one will not do"),
    row("kfunc-struct-mismatch", Register("register"), "`{name}()` takes a pointer to `{wanted}`, but is given {value}",
        "pass a pointer to `{wanted}` that is owned, trusted, or under RCU; another struct will not do"),
    row("user-memory", Register("register"), "{value} is an address of user space",
        "copy from it with `bpf_probe_read_user()` or `bpf_copy_from_user()`"),
    row("nullable-pointer-arithmetic", Register("register"), "the pointer is {value}: it must not be moved before it is checked",
        "check it for NULL first, then reach its members"),
    row("only-read-supported", Base, "the object is accessed through {value}, which allows no writes",
        "{advice|write only to objects that the program owns, or whose list or tree is locked; to others, use the kfuncs that are meant for it}"),
    row("modified-pointer", Register("register"), "the pointer was moved by {offset} bytes, and has to be used as it came",
        "{advice|pass the pointer to the object's start}"),
    row("variable-offset", Object, "which part of {pointer} is accessed is not known here",
        "use a constant offset"),
    row("negative-offset", Register("register"), "the pointer was moved in front of the object, by {offset} bytes",
        "pass the pointer to the object's start"),
];

/// Lists and trees.
#[rustfmt::skip]
const GRAPHS: [Row; 15] = [
    row("graph-at-variable-offset", Register("register"), "which {field} is meant is not known here",
        "make the index a constant"),
    row("no-graph-field", Path, "there is no {field} at offset {offset} of what is passed",
        "pass the address of the member of type `struct {field}`; the head or root needs its `__contains(…)` tag and a lock beside it"),
    row("graph-lock-not-held", LOCK, "the {field} is used here, and the lock that guards it is not held",
        "take the `bpf_spin_lock` that lies in the same map value or object as the {field}, and keep it for as long as you use nodes of it"),
    row("root-of-unknown-kfunc", Path, "`{call}()` takes no {field}",
        "use the list functions for lists, the tree functions for trees"),
    row("node-of-unknown-kfunc", Path, "`{call}()` takes no {field}",
        "use the list functions for lists, the tree functions for trees"),
    row("node-of-other-graph", Nth(2), "this {root} holds struct {wanted} by the member at offset {wanted_offset}, but is given struct {found}",
        "pass `&node->member` of the struct and member that stand in the `__contains(…)` tag of the {root}"),
    row("other-node-of-object", Nth(2), "the list or tree links struct {object} by the {field} at offset {wanted_offset}, not by the one at {offset}",
        "pass the member that stands in the `__contains(…)` tag"),
    row("remove-needs-non-owning", Nth(2), "only a node that is in the tree can be removed, but this is {value}",
        "{advice|remove what `bpf_rbtree_first()` gave or what was added, under the same lock; what was removed or popped already is yours}"),
    row("remove-in-tree-callback", Path, "the callback that orders a tree must not change it",
        "compare the two nodes and return; remove outside of the callback"),
    row("expected-value-or-allocated", Argument("index", 1), "`{call}()` needs a list head or tree root in a map's value or in an object, but is given {value}",
        "put the head or root, with its lock, into a map's value, a global variable, or an object that the program owns"),
    row("conversion-failed", Nth(2), "the object that is linked is not owned",
        "pass a pointer that owns the object"),
    row("callback-not-verified", Path, "the callback of `{name}()` breaks the rule that stands before this line of the kernel's log",
        "mend what the kernel says before it"),
    row("expected-function", Argument("index", 1), "`{call}()` takes a function here",
        "pass a static function of the program"),
    row("no-record", Path, "nothing is known of the object's members",
        "compile with `-g`, and give the struct the member that the kfunc needs"),
    row("tracing-with-graph", Path, "tracing programs cannot use lists and trees yet",
        "use another program type, such as `tc` or `syscall`"),
];

/// Iterators.
#[rustfmt::skip]
const ITERATORS: [Row; 5] = [
    row("invalid-iterator-argument", Argument("number", 1), "`{call}()` is given {value}, which is no iterator",
        "pass the address of a variable of the type `struct bpf_iter_…` on the stack"),
    row("iterator-not-on-stack", Argument("index", 1), "`{call}()` is given {value}: an iterator must be on the stack",
        "make the iterator a local variable"),
    row("expected-uninitialised-iterator", Argument("number", 1), "`{call}()` begins an iterator where there is {value}",
        "call the iterator's destroy function before you begin it again, or use another variable"),
    row("expected-initialised-iterator", Argument("number", 1), "`{call}()` needs an iter_{kind} that has begun, but is given {value}",
        "call `bpf_iter_{kind}_new()` first, destroy it once, and do not overwrite or copy it; `bpf_for_each()` does it all"),
    row("css-task-iter-not-allowed", Path, "this type of program cannot walk the tasks of a cgroup",
        "use an LSM, an iterator, or a sleepable program"),
];

/// Dynptrs.
#[rustfmt::skip]
const DYNPTRS: [Row; 15] = [
    row("write-to-dynptr", Slot("offset"), "`{call}()` would overwrite the dynptr that is on the stack there",
        "give it memory of its own; a dynptr is changed only by the functions that are meant for it"),
    row("object-at-variable-offset", Base, "which {what} is meant is not known here",
        "use a constant index"),
    row("object-at-offset", Base, "the {what} does not begin {offset} bytes from where it should",
        "pass the address of the {what} itself"),
    row("not-a-dynptr", Argument("index", 1), "`{call}()` needs a dynptr, but is given {value}",
        "pass the address of a `struct bpf_dynptr` on the stack, as it was made"),
    row("dynptr-not-uninitialised", Base, "`{call}()` makes a dynptr where one is in use",
        "release the dynptr that is there first, or use another variable"),
    row("changes-const-dynptr", Base, "`{call}()` changes the dynptr, and this one belongs to the kernel",
        "copy it with `bpf_dynptr_clone()`, and change the copy"),
    row("expected-initialised-dynptr", Argument("index", 1), "`{call}()` needs a dynptr that was made, but is given {value}",
        "{advice|make the dynptr first, on every way that leads here, and do not use it after it was submitted or discarded, or overwritten in part}"),
    row("expected-dynptr-kind", Argument("index", 1), "`{call}()` needs a dynptr over {kind} memory",
        "make it with the function for that kind"),
    row("release-of-const-dynptr", Nth(1), "this dynptr belongs to the kernel: it is not yours to release",
        "leave it as it is"),
    row("unacquired-dynptr", Argument("number", 0), "`{call}()` ends a reservation, but is given {value}",
        "{advice|submit or discard what `bpf_ringbuf_reserve_dynptr()` made, and only once}"),
    row("misconfigured-dynptr", Path, "`{call}()` cannot make a dynptr here",
        "pass the address of a `struct bpf_dynptr` on the stack that is not in use"),
    row("dynptr-over-unsupported", Nth(1), "a dynptr cannot be made over {value}",
        "make it over a map's value, a ring buffer's record, a packet, or memory of a known size"),
    row("overwrite-referenced-dynptr", Base, "the dynptr that is on the stack here holds a reservation, which would be lost",
        "submit or discard it first"),
    row("packet-write-not-allowed", Path, "this type of program may not write to the packet",
        "use `bpf_dynptr_slice()`, which only reads"),
    row("uninitialised-stack-read", Path, "of the {size} bytes that are read from the stack here, the one at offset {step} was never written",
        "initialise the whole variable: `= {}`, or each of its members; padding between members counts as well, and dynptrs and iterators cannot be read or copied"),
];

/// Memory: bounds.
#[rustfmt::skip]
const MEMORY: [Row; 19] = [
    row("read-uninitialised", Register("register"), "{register} is read here, and nothing is in it",
        "give the variable a value on every way that leads here; a call keeps only its result"),
    row("outside-map-value", Base, "{size} bytes at offset {offset} are not all inside the value's {limit} bytes",
        "check the index against the size before the access"),
    row("outside-map-key", Base, "{size} bytes at offset {offset} are not all inside the key's {limit} bytes",
        "stay inside the key"),
    row("outside-memory", Base, "{size} bytes at offset {offset} are not all inside the {limit} bytes that there are",
        "stay inside the memory: check the size before the access"),
    row("outside-packet", Bounds("register"), "{size} bytes at offset {offset} may lie behind the packet's end: only {limit} are known to be there",
        "compare with `data_end` first: `if (p + size > data_end) return 0;`"),
    row("negative-minimum", Bounds("register"), "the index may be negative",
        "make the index unsigned, or check `if (index >= 0)` too"),
    row("minimum-outside", Bounds("register"), "at its smallest, the index leads outside",
        "check the index's lower bound before the access"),
    row("maximum-outside", Bounds("register"), "at its largest, the index leads outside{reach}",
        "check the index's upper bound before the access: it has to be below the number of elements"),
    row("beyond-packet", Bounds("register"), "what is accessed may lie behind the packet's end{reach}",
        "compare with the packet's end first, through the same pointer: `if ((void *)({p} + 1) > data_end) return 0;`"),
    row("unbounded-access", Bounds("register"), "how far the index reaches is not known",
        "check the index before the access, in the same variable that is used"),
    row("negative-size", Bounds("register"), "the size may be negative: it is {value}",
        "make it unsigned, or mask it: `size &= 0xff`"),
    row("unbounded-size", Bounds("register"), "the size may be too large: it is {value}",
        "check it first against the size of the memory, in the same variable that is passed: `if (size > sizeof(buffer)) return 0;`"),
    row("zero-size", Bounds("register"), "the size may be zero: it is {value}", "check it first: `if (!size) return 0;`"),
    row("pointer-out-of-bounds", Path, "the pointer moves too far",
        "check the number before it is added"),
    row("pointer-math-unbounded", Path, "the number that is added has no lower bound",
        "check the number before it is added"),
    row("infinite-loop", Path, "the path is here for the second time, and nothing that the verifier knows of has changed: it sees no end of the loop",
        "count to a limit that does not depend on what is read, and leave the loop there: `bpf_for(i, 0, LIMIT)`, `bpf_loop()`"),
    row("outside-return-range", Result, "{value} is returned here, and only {range} is allowed",
        "return a number in {range}: this type of program has no other results"),
    row("too-many-branches", Path, "{count} branches of the path wait to be followed here: the verifier gives up",
        "leave loops after fewer rounds, or use `bpf_loop()` or `bpf_for()`, of which each round is not followed anew"),
    row("program-too-large", Path, "after {processed} instructions the verifier gives up",
        "use `bpf_loop()` or `bpf_for()` for long loops, or split the program with global functions"),
];

/// Calls.
#[rustfmt::skip]
const CALLS: [Row; 12] = [
    row("helper-not-available", Path, "this type of program cannot call `{name}()`",
        "use another program type, or another helper"),
    row("kfunc-not-allowed", Path, "this type of program cannot call `{name}()`",
        "use another program type: see who may call it in `kfuncs/`"),
    row("kfunc-might-sleep", Path, "`{name}()` may sleep, and this program may not",
        "put the program into a sleepable section: `SEC(\"….s\")`"),
    row("helper-might-sleep", Path, "`{call}()` may sleep, and this program may not",
        "put the program into a sleepable section: `SEC(\"….s\")`"),
    row("helper-needs-gpl", Path, "`{call}()` is for programs under the GPL",
        "`char LICENSE[] SEC(\"license\") = \"GPL\";`"),
    row("kfunc-needs-gpl", Path, "kfuncs are for programs under the GPL",
        "`char LICENSE[] SEC(\"license\") = \"GPL\";`"),
    row("not-scalar", Register("register"), "`{call}()` needs a number, but is given {value}", "pass a number"),
    row("must-be-constant", Register("register"), "`{call}()` needs a number that is known beforehand",
        "pass a constant"),
    row("not-a-known-constant", Register("register"), "`{call}()` needs a number that is known beforehand",
        "pass a constant"),
    row("memory-and-size", Argument("index", 1), "`{call}()` would access memory that is not there: it is given {value} and the size behind it",
        "pass memory that is at least as large as the size says"),
    row("return-stack-pointer", Path, "the stack that the pointer points into ends with the function",
        "return a value instead"),
    row("timer-of-another-map", Nth(1), "the timer lies in another map than the one that is passed",
        "pass the map in which the timer lies"),
];

/// Timers and work queues, functions, the context, and other rules that many meet.
#[rustfmt::skip]
const OTHERS: [Row; 37] = [
    row("invalid-arguments-to-global", Path, "`{name}()` does not take what it is given: see what the kernel says before",
        "pass what the function's parameters and their tags ask for; a pointer that may be NULL must be checked first"),
    row("tail-call-through-other-map", Path, "a tail call needs a program array",
        "pass a map of type `BPF_MAP_TYPE_PROG_ARRAY`"),
    row("timer-at-variable-offset", Register("register"), "which timer is meant is not known here",
        "make the index a constant"),
    row("timer-without-btf", Nth(1), "what lies in map `{map}` is not known",
        "declare the map in `.maps` with the struct as `__type(value, …)`, and compile with `-g`"),
    row("no-timer", Nth(1), "map `{map}` has no timer in its values",
        "add a member `struct bpf_timer timer;` to the value's struct"),
    row("not-at-timer", Nth(1), "the timer is at offset {timer}, not at {offset}",
        "pass the address of the member of type `struct bpf_timer`"),
    row("not-a-map-value", Argument("index", 1), "`{call}()` needs a value of a map, but is given {value}",
        "pass the address of a member of a map's value, checked for NULL"),
    row("not-at-work-queue", Nth(1), "the work queue is at offset {queue}, not at {offset}",
        "pass the address of the member of type `struct bpf_wq`"),
    row("work-queue-of-another-map", Nth(1), "the work queue lies in another map than the one that is passed",
        "pass the map in which the work queue lies"),
    row("not-a-map-pointer", Register("register"), "`{call}()` needs a map, but is given {value}",
        "pass the address of the map: `&map`"),
    row("socket-filter-with-lock", Path, "socket filters cannot take locks",
        "use another program type"),
    row("tracing-with-field", Path, "tracing programs cannot use {field} yet",
        "use another program type, or a map without {field}"),
    row("map-not-for-sleepable", Path, "programs that sleep cannot use this type of map",
        "use an array, a hash, a ring buffer or local storage"),
    row("write-frame-pointer", Path, "r10 is the frame pointer: it stays as it is",
        "use another register"),
    row("division-by-zero", Path, "the divisor is the number 0",
        "divide by something else"),
    row("pointer-with-pointer", Register("register"), "two pointers are combined",
        "subtract numbers, not addresses; pointers into a packet may be subtracted from each other"),
    row("pointer-arithmetic-32", Register("register"), "an address has 64 bits, and this works on 32",
        "use a 64-bit type (`long`, `__u64`) for the number that is added"),
    row("pointer-arithmetic-prohibited", Register("register"), "{value} must stay as it is",
        "keep the pointer, and reach members by name"),
    row("bitwise-on-pointer", Register("register"), "`{operator}` makes no address of an address",
        "keep flags beside pointers, not in them"),
    row("operator-on-pointer", Register("register"), "`{operator}` makes no address of an address",
        "only numbers can be added to pointers and subtracted from them"),
    row("misaligned-access", Base, "{size} bytes are accessed that do not begin at a multiple of {size}",
        "align the member, or copy it byte by byte"),
    row("atomic-not-allowed", Register("register"), "an atomic access through {value} is not possible",
        "use atomics on map values and on memory of your own"),
    row("write-read-only", Register("register"), "{value} is for reading only",
        "copy what is there, and change the copy"),
    row("write-into-map-forbidden", Base, "the program may not write to this map",
        "leave out `BPF_F_RDONLY_PROG`, or write to another map; `const volatile` variables are read only"),
    row("invalid-context-access", Base, "this type of program has no context field of {size} bytes at offset {offset} that can be used so",
        "use the fields of the context's struct as they are declared, with their own size"),
    row("outside-stack", Register("register"), "{size} bytes at offset {offset} are not all on the stack, which has 512 bytes",
        "make the variable smaller, or keep it in a map"),
    row("invalid-stack-read", Base, "bytes of the stack are read that nothing wrote",
        "initialise the variable: `= {}`; dynptrs and iterators cannot be read or copied"),
    row("variable-outside-stack", Register("register"), "how far the index reaches on the stack is not bounded",
        "check the index against the array's size before the access"),
    row("unbounded-stack-access", Register("register"), "how far the index reaches on the stack is not bounded",
        "check the index against the array's size before the access"),
    row("variable-object-offset", Register("register"), "which member of struct {name} is accessed is not known here",
        "use a constant index"),
    row("beyond-struct", Base, "struct {name} ends before offset {offset} plus {size}",
        "check the struct's definition: it may differ from the kernel's; use CO-RE (`bpf_core_read`)"),
    row("not-memory", Register("register"), "`{call}()` needs memory, but is given {value}",
        "pass the address of a variable, checked for NULL if it may be"),
    row("expected-context", Argument("index", 1), "`{call}()` needs the program's context, but is given {value}",
        "pass `ctx` itself"),
    row("not-const-string", Argument("index", 1), "`{call}()` needs a string that is known beforehand",
        "use a `const char` array in `.rodata`"),
    row("stack-too-deep", Path, "the functions on this way take {bytes} bytes of stack together, more than 512",
        "keep large variables in maps, or make the way of calls shorter"),
    row("subprogram-result-not-scalar", Register("register"), "a global function returns a number, but this is {value}",
        "return a number; pass results through pointers to memory"),
    row("result-not-known", Register("register"), "the program returns {value}", "return a number"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::Rule;

    /// Families of rules of which each has a story and help of its own.
    const OWNERSHIP: [&str; 4] = ["Special fields and kptrs", "Locks and sections", "References", "Iterators"];
    /// Words by which rules of the other families are about ownership, too.
    const ABOUT: [&str; 12] = [
        "dynptr",
        "graph",
        "node",
        "kptr",
        "percpu",
        "rcu",
        "trusted",
        "refcount",
        "allocated",
        "owning",
        "drop",
        "tail-call-in",
    ];
    /// Rules in which those words mean something else.
    const OTHERWISE: [&str; 3] = ["trusted-candidate-error", "trusted-without-match", "trusted-ambiguous"];

    fn all() -> impl Iterator<Item = &'static Row> {
        TABLES.iter().flat_map(|table| table.iter())
    }

    #[test]
    fn rules_of_ownership_have_a_story_and_help() {
        let missing: Vec<_> = Rule::TABLE
            .iter()
            .filter(|entry| OWNERSHIP.contains(&entry.family) || ABOUT.iter().any(|word| entry.id.contains(word)))
            .filter(|entry| !OTHERWISE.contains(&entry.id))
            .filter(|entry| !all().any(|row| row.id == entry.id && !row.help.is_empty() && !row.label.is_empty()))
            .map(|entry| entry.id)
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn rows_are_of_rules_and_their_fields() {
        const ALWAYS: [&str; 6] = ["value", "held", "release", "call", "p", "reach"];
        for row in all() {
            let index = Rule::ALL.iter().position(|id| *id == row.id).unwrap_or_else(|| panic!("no rule {}", row.id));
            assert_eq!(all().filter(|other| other.id == row.id).count(), 1, "{}", row.id);
            let fields = Rule::FIELDS[index];
            let subject = match row.subject {
                Subject::Register(field)
                | Subject::Argument(field, _)
                | Subject::Slot(field)
                | Subject::Bounds(field) => Some(field),
                _ => None,
            };
            let help = row.help.strip_prefix("{advice|").and_then(|rest| rest.strip_suffix('}')).unwrap_or(row.help);
            let placeholders = [row.label, help]
                .into_iter()
                .flat_map(|text| text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)));
            for name in placeholders.filter(|name| !name.is_empty()).chain(subject) {
                assert!(fields.contains(&name) || ALWAYS.contains(&name), "{}: {name}", row.id);
            }
        }
    }
}
