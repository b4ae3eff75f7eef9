//! Deliberate mistakes, to test the tests: what the suites are worth is how many of these they find.
//!
//! One list names each mistake, where it sits, what is forgotten there, and which suite must find it within how many cases
//! (`tests/seeded.rs`). The place itself asks [`active`]. Without the feature `seeded-faults` that is `false` at compile time, and the
//! mistake is not part of the program; with it, one at most is active in the process, the one that [`choose`] chose last.

/// Makes the enum of faults and the table of them out of one list.
macro_rules! faults {
    ($($(#[doc = $forgets:literal])+ $fault:ident $place:literal $suite:ident $cases:literal;)+) => {
        /// A deliberate mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Fault {
            $($(#[doc = $forgets])+ $fault,)+
        }

        /// All mistakes.
        #[cfg(feature = "seeded-faults")]
        pub const TABLE: &[Seeded] = &[$(Seeded {
            fault: Fault::$fault,
            name: stringify!($fault),
            place: $place,
            forgets: concat!($($forgets),+),
            suite: Suite::$suite,
            cases: $cases,
        }),+];
    };
}

faults! {
    // Ownership.
    /// `bpf_kptr_xchg` does not strike the given reference out of the ledger.
    KeepReferenceAtExchange "verifier/percpu" Verdicts 100;
    /// What `bpf_kptr_xchg` gave away stays an object that the program may write.
    AliasStaysOwned "verifier/percpu" Own 400;
    /// The end of an RCU section leaves pointers trusted that were good in it only.
    KeepAliasAfterRcu "verifier/percpu" Own 400;
    /// A kptr that is loaded outside of any RCU section is trusted as if inside.
    BorrowOutsideRcu "verifier/percpu" Own 400;
    /// The result of `bpf_kptr_xchg` is never NULL.
    ForgetNullOfExchange "verifier/helper" Verdicts 200;
    /// The result of `bpf_obj_new` and `bpf_percpu_obj_new` is never NULL.
    ForgetNullOfNew "verifier/kfunc" Verdicts 200;
    /// Where an acquired pointer turns out to be NULL its reference stays in the ledger.
    NullKeepsReference "verifier/branch" Verdicts 100;
    /// Copies of a released pointer stay as they are.
    KeepAliasAfterRelease "verifier/helper" Verdicts 400;
    /// A reference can be given back again and again.
    ReleaseTwice "verifier/helper" Verdicts 400;
    /// References that are held at the end go unnoticed.
    LeakAtExit "verifier/exit" Verdicts 200;
    /// An RCU section may be open at the end.
    RcuOpenAtExit "verifier/exit" Verdicts 1500;
    /// A lock may be held at the end.
    LockHeldAtExit "verifier/exit" Verdicts 1500;
    /// A pointer that is spilled loses its reference.
    SpillLosesReference "verifier/stack" Verdicts 600;
    /// Giving a lock back leaves pointers to what a list or tree owns as they are.
    KeepNodeAfterUnlock "verifier/helper" Verdicts 1500;
    /// A lock can be given back through a pointer to another one.
    UnlockAnother "verifier/helper" Verdicts 1500;
    /// A list or tree can be changed without its lock.
    GraphWithoutLock "verifier/graph" Verdicts 1500;
    /// A per-CPU object is accessed as if it were one object.
    PercpuUsedPlain "verifier/object_access" Own 400;

    // The value domain.
    /// Known bits of a sum: no carry out of unknown bits.
    TnumAddWithoutCarry "verifier/domain/alu" Domain 2000;
    /// Known bits of a difference: no borrow out of unknown bits.
    TnumSubWithoutBorrow "verifier/domain/alu" Domain 2000;
    /// Known bits of a product: each bit depends on the same bit of the factors only.
    TnumMulBitByBit "verifier/domain/alu" Domain 2000;
    /// Known bits of an and: what is unknown on one side only counts as zero.
    TnumAndDropsUnknown "verifier/domain/alu" Domain 2000;
    /// A left shift leaves the mask of unknown bits where it was.
    ShiftLeavesMask "verifier/domain/alu" Domain 2000;
    /// An arithmetic shift to the right shifts zeroes in.
    ArithmeticShiftAsLogical "verifier/domain/alu" Domain 2000;
    /// Bounds of a difference take the minimum of what is subtracted for its maximum.
    SubSwapsBounds "verifier/domain/alu" Domain 2000;
    /// The upper bound of a product is taken although it overflows.
    MulIgnoresOverflow "verifier/domain/alu" Domain 20000;
    /// A 32-bit operation leaves the upper half as the 64-bit one would.
    NoTruncationTo32 "verifier/domain/alu" Domain 2000;
    /// A sign-extending move extends by zeroes.
    SignExtensionByZeroes "verifier/domain/resize" Domain 20000;
    /// Bounds of the low half are taken from the whole although the upper half varies.
    LowBoundsFromAnyWhole "verifier/domain/sync" Domain 20000;
    /// Bounds of the whole are taken from the low half although the number is no sign extension.
    WholeBoundsFromAnyLow "verifier/domain/sync" Domain 20000;
    /// Where `a < b` does not hold, `a > b` is learnt.
    OppositeOfLessIsGreater "verifier/domain/branch" Domain 20000;
    /// A signed comparison teaches unsigned bounds.
    SignedTeachesUnsigned "verifier/domain/branch" Domain 20000;
    /// Inequality takes the largest number away whatever it is.
    UnequalShrinksAlways "verifier/domain/branch" Domain 20000;
    /// `a & b` not being zero sets all bits of b in a.
    CommonBitSetsAll "verifier/domain/branch" Domain 20000;
    /// Equality of the low halves makes all of two numbers equal.
    EqualLowHalvesAreEqual "verifier/domain/branch" Domain 20000;
    /// `a < b` is taken for certain when the largest a equals the smallest b.
    LessThoughEqual "verifier/domain/branch" Domain 20000;
    /// A number linked with another by a constant difference becomes the other.
    LinkedForgetsDifference "verifier/branch" Own 400;

    // Paths that are left because another one covers them.
    /// No number is marked as precise.
    PruneWithoutPrecision "verifier/precision" Verdicts 1500;
    /// Where a path is left, what was precise below is not carried over.
    PruneForgetsPrecision "verifier/prune" Verdicts 1500;
    /// Where a path is left, what was read below is not carried over.
    PruneForgetsReads "verifier/prune" Verdicts 1500;
    /// Registers r6 to r9 do not count when states are compared.
    InclusionIgnoresRegisters "verifier/inclusion" Verdicts 1500;
    /// The stack does not count when states are compared.
    InclusionIgnoresStack "verifier/inclusion" Verdicts 1500;
    /// References do not count when states are compared.
    InclusionIgnoresReferences "verifier/inclusion" Verdicts 1500;
    /// Identities do not count when states are compared.
    InclusionIgnoresIds "verifier/inclusion" Verdicts 1500;
    /// A loop over an iterator converges when it comes round for the first time.
    LoopConvergesAtOnce "verifier/prune" Verdicts 1500;

    // Memory.
    /// Memory has one byte more than it has.
    RegionEndOffByOne "verifier/memory" Own 400;
    /// An offset whose variable part has no upper bound is inside.
    UnboundedOffset "verifier/memory" Verdicts 1500;
    /// Memory that a helper is given with a size is checked for the smallest size only.
    SmallestSizeOnly "verifier/arguments/memory" Verdicts 1500;
    /// An access may be misaligned.
    SkipAlignment "verifier/memory" Verdicts 1500;
    /// Fields that hold a kptr, a lock or a root are bytes like others.
    SpecialFieldsAreBytes "verifier/memory" Verdicts 1500;
    /// A load of two or four bytes is bounded as one of one byte.
    NarrowLoadIsNarrower "verifier/memory" Containment 600;
    /// A comparison with the packet's end proves one byte more.
    PacketRangeOffByOne "verifier/packet" Verdicts 600;
    /// A store over part of a spilled number leaves the number.
    PartialStoreKeepsSpill "verifier/stack" Containment 600;

    // Calls.
    /// The result of `bpf_map_lookup_elem` is never NULL.
    ForgetNullOfLookup "verifier/helper" Verdicts 200;
    /// A helper leaves r1 to r5 as they are.
    HelperKeepsArguments "verifier/env" Verdicts 1500;
    /// A kernel function leaves r1 to r5 as they are.
    KfuncKeepsArguments "verifier/kfunc" Verdicts 1500;
    /// The callback of `bpf_loop` is not followed.
    SkipCallback "verifier/helper" Verdicts 1500;

    // The machine.
    /// A division by zero gives the dividend.
    DivisionByZeroIsDividend "machine/alu" Peer 1000;
    /// A remainder by zero is zero.
    RemainderByZeroIsZero "machine/alu" Peer 200;
    /// A 32-bit operation leaves the upper half.
    UpperHalfKept "machine/alu" Peer 200;
    /// A byte swap of four bytes swaps nothing.
    SwapNothing "machine/alu" Peer 200;
    /// Signed comparisons of 32 bits are unsigned.
    CompareLowUnsigned "machine/alu" Peer 400;
    /// `bpf_this_cpu_ptr` gives the copy of the next CPU.
    CopyOfNextCpu "machine/models/percpu" Own 400;
    /// A grace period ends while readers are inside.
    GraceEndsEarly "machine/rcu" Scenarios 40;
    /// A reader keeps nothing alive.
    ReadersProtectNothing "machine/rcu" Scenarios 40;
    /// Leaving an inner RCU section leaves all.
    InnerUnlockLeavesAll "machine/rcu" Own 400;
    /// An exchange leaves what was in the field to the field.
    ExchangeKeepsOld "machine/models/obj" Containment 600;
    /// `bpf_kptr_xchg` is told to the explorer as a plain read.
    ExchangeReadsOnly "machine/models/obj" Scenarios 40;
    /// An atomic operation is told to the explorer as a plain read.
    AtomicReadsOnly "machine/execute" Scenarios 40;
    /// A lock can be taken while another CPU holds it.
    LockTakenTwice "machine/models/lock" Scenarios 40;
    /// A store buffer gives away its latest store first.
    LatestStoreFirst "machine/store_buffer" Scenarios 40;
    /// A load does not see its own CPU's buffered stores.
    OwnStoresUnseen "machine/store_buffer" Scenarios 40;

    // The explorer.
    /// Giving back and taking a lock orders nothing for the detector of races.
    DropLockEdge "explore/race" Scenarios 40;
    /// What sleeps is woken by nothing but its own actor.
    SleepSetWakesNothing "explore/policy/dpor" Reduction 200;
    /// Of the races of a run only the first is reversed.
    OneRaceReversed "explore/policy/dpor" Reduction 200;
    /// A read before a write of the same place commutes with it.
    ReadsNeverConflict "explore/system" Reduction 200;
}

/// What must find a mistake.
#[cfg(feature = "seeded-faults")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Generated programs: runs of the accepted lie in the verifier's states, and none faults. A case is a program.
    Containment,
    /// Generated programs, of which a kernel's verdicts are recorded. A case is a program.
    Verdicts,
    /// Programs of our own, with expectations that a kernel has confirmed. A case is a file.
    Own,
    /// The value domain: every member of small operands. A case is a pair of operands.
    Domain,
    /// The machine against another interpreter. A case is a program.
    Peer,
    /// Reduction against depth-first search. A case is a small system.
    Reduction,
    /// Scenarios of our own, with outcomes and counts that are known. A case is a scenario.
    Scenarios,
}

/// A mistake, and what must find it.
#[cfg(feature = "seeded-faults")]
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    /// Which.
    pub fault: Fault,
    /// Its name.
    pub name: &'static str,
    /// The file that it sits in, under `src`, without its ending.
    pub place: &'static str,
    /// What is forgotten.
    pub forgets: &'static str,
    /// The suite that must find it.
    pub suite: Suite,
    /// Within so many cases.
    pub cases: usize,
}

#[cfg(feature = "seeded-faults")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Makes one mistake active, or none.
#[cfg(feature = "seeded-faults")]
pub fn choose(fault: Option<Fault>) {
    CHOSEN.store(fault.map_or(0, |fault| fault as u8 + 1), std::sync::atomic::Ordering::SeqCst);
}

/// Is that mistake to be made?
#[cfg(feature = "seeded-faults")]
#[must_use]
#[inline]
pub fn active(fault: Fault) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == fault as u8 + 1
}

/// Is that mistake to be made? Never: the feature is off.
#[cfg(not(feature = "seeded-faults"))]
#[must_use]
#[inline(always)]
pub const fn active(_: Fault) -> bool {
    false
}
