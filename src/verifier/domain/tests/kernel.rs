//! The same answers as the kernel's own code.
//!
//! The digests were made by the functions of Linux 6.12.117 `kernel/bpf/verifier.c` and `tnum.c`, compiled and
//! run on the pairs that [`Pairs`] yields. A digest that differs means that some answer is no longer the kernel's,
//! sound or not: logs, pruning and instruction counts would differ.

use super::generate::{Digest, Pairs};
use super::{COMPUTED, Scalar, WIDTHS};
use crate::isa::{AluOp, JumpOp, Size, Width};
use crate::verifier::domain::{alu, branch_taken, refine_edges};

/// Pairs tried for each digest.
const PAIRS: usize = 5000;

/// Digest of what `answer` feeds it for each pair of the sequence.
fn digest(mut answer: impl FnMut(&mut Digest, &Scalar, &Scalar)) -> u64 {
    let mut digest = Digest::new();
    for (first, second) in Pairs::new(612_117).take(PAIRS) {
        answer(&mut digest, &first, &second);
    }
    digest.0
}

#[test]
fn syncing_is_the_kernels() {
    assert_eq!(digest(|digest, first, _| digest.scalar(&first.synced())), SYNC);
}

#[test]
fn resizing_is_the_kernels() {
    assert_eq!(digest(|digest, first, _| digest.scalar(&first.moved_low())), MOVED_LOW);
    for (size, truncated, extended) in RESIZED {
        assert_eq!(digest(|digest, first, _| digest.scalar(&first.truncated(size))), truncated, "{size:?}");
        assert_eq!(digest(|digest, first, _| digest.scalar(&first.sign_extended(size))), extended, "{size:?}");
    }
    for (size, extended) in SIGN_EXTENDED_LOW {
        assert_eq!(digest(|digest, first, _| digest.scalar(&first.sign_extended_low(size))), extended, "{size:?}");
    }
}

#[test]
fn arithmetic_is_the_kernels() {
    let cases = COMPUTED.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width)));
    assert!(cases.eq(ARITHMETIC.map(|(op, width, _)| (op, width))));
    for (op, width, expected) in ARITHMETIC {
        let found = digest(|digest, dst, src| {
            digest.scalar(&alu::apply(op, width, dst, src).unwrap_or(Scalar::UNKNOWN));
        });
        assert_eq!(found, expected, "{op:?} {width:?}");
    }
}

#[test]
fn comparisons_are_the_kernels() {
    let cases = JumpOp::ALL.into_iter().flat_map(|op| WIDTHS.map(|width| (op, width)));
    assert!(cases.eq(COMPARISONS.map(|(op, width, _, _)| (op, width))));
    for (op, width, decisions, refinements) in COMPARISONS {
        let decided = digest(|digest, left, right| {
            digest.word(branch_taken(op, width, left, right).map_or(2, u64::from));
        });
        assert_eq!(decided, decisions, "{op:?} {width:?}");
        let refined = digest(|digest, left, right| {
            if branch_taken(op, width, left, right).is_none() {
                let edges = refine_edges(op, width, left, right);
                let ends = [edges.taken.0, edges.taken.1, edges.not_taken.0, edges.not_taken.1];
                ends.iter().for_each(|end| digest.scalar(end));
            }
        });
        assert_eq!(refined, refinements, "{op:?} {width:?}");
    }
}

#[test]
fn inclusion_and_invariants_are_the_kernels() {
    assert_eq!(digest(|digest, old, current| digest.word(old.includes(current).into())), INCLUSION);
    assert_eq!(digest(|digest, first, _| digest.word(first.check_invariants().is_err().into())), INVARIANTS);
}

/// Digest of `reg_bounds_sync`.
const SYNC: u64 = 0xe9df_0608_7733_f4f6;

/// Digest of `zext_32_to_64` and `reg_bounds_sync`.
const MOVED_LOW: u64 = 0x461f_a1e2_9574_92c7;

/// Digests of `coerce_reg_to_size` and `coerce_reg_to_size_sx`.
const RESIZED: [(Size, u64, u64); 3] = [
    (Size::B1, 0xe37d_6e45_504c_79fb, 0x9858_0034_372d_efe9),
    (Size::B2, 0x4946_37aa_fc39_b4a1, 0x1a46_14ce_3d4b_07f1),
    (Size::B4, 0xe31b_0dc7_70f7_9580, 0x2a89_cc2e_e816_47f4),
];

/// Digests of `coerce_subreg_to_size_sx`, `zext_32_to_64` and `reg_bounds_sync`.
const SIGN_EXTENDED_LOW: [(Size, u64); 2] = [(Size::B1, 0xe2a6_8841_b4da_a387), (Size::B2, 0x72e4_546e_e035_c156)];

/// Digests of `adjust_scalar_min_max_vals`, without the fork of `maybe_fork_scalars`.
const ARITHMETIC: [(AluOp, Width, u64); 18] = [
    (AluOp::Add, Width::W32, 0xa175_3b68_aec7_8709),
    (AluOp::Add, Width::W64, 0x75a2_7cdb_92ea_a2ea),
    (AluOp::Sub, Width::W32, 0x0a57_8eab_994c_bed7),
    (AluOp::Sub, Width::W64, 0x30f6_c6ca_01f3_abea),
    (AluOp::Mul, Width::W32, 0x9003_e9f2_e0d5_3d89),
    (AluOp::Mul, Width::W64, 0x2750_c89f_3b5a_c056),
    (AluOp::Or, Width::W32, 0x58a1_4c10_3542_fd3f),
    (AluOp::Or, Width::W64, 0xbcc1_f36c_84e7_8d0c),
    (AluOp::And, Width::W32, 0x4731_fd8d_daae_42f1),
    (AluOp::And, Width::W64, 0xed30_ef4d_4535_dbe1),
    (AluOp::Xor, Width::W32, 0x5101_fd85_eb1d_d4f6),
    (AluOp::Xor, Width::W64, 0x940a_c25c_4b7b_eb75),
    (AluOp::LeftShift, Width::W32, 0xc47b_5488_949f_5963),
    (AluOp::LeftShift, Width::W64, 0x92d7_5b22_a73f_c4f9),
    (AluOp::RightShift, Width::W32, 0xe5f3_a293_7bb1_86d3),
    (AluOp::RightShift, Width::W64, 0xdd51_1276_165d_d0a5),
    (AluOp::ArithmeticRightShift, Width::W32, 0xa223_ae40_3fb5_6c5b),
    (AluOp::ArithmeticRightShift, Width::W64, 0x8112_0d8b_732e_c169),
];

/// Digests of `is_scalar_branch_taken`, and of `reg_set_min_max` where that decides nothing.
const COMPARISONS: [(JumpOp, Width, u64, u64); 22] = [
    (JumpOp::Equal, Width::W32, 0x8b2b_e3f5_0c33_a4c7, 0x9bcf_1ecf_15f3_e5e0),
    (JumpOp::Equal, Width::W64, 0x3b69_ddf8_dfd3_c765, 0xb237_8952_35a7_da5a),
    (JumpOp::NotEqual, Width::W32, 0x1db4_76d7_f997_2f46, 0xd116_7b08_5315_aad4),
    (JumpOp::NotEqual, Width::W64, 0x608b_d263_63ac_cd45, 0x82c2_2019_358a_e1f2),
    (JumpOp::Greater, Width::W32, 0x8783_278f_d662_1886, 0xbe7a_d8e5_ebff_4ff4),
    (JumpOp::Greater, Width::W64, 0x8cda_85ec_2f49_07e5, 0x9d20_adce_9f26_214a),
    (JumpOp::GreaterEqual, Width::W32, 0x8c0c_6d03_6c93_6045, 0x744c_e1a7_3b2a_54ef),
    (JumpOp::GreaterEqual, Width::W64, 0x6132_d98d_f745_e625, 0xa458_bda0_1c48_1280),
    (JumpOp::Less, Width::W32, 0xe89c_7b33_9203_7f85, 0x5fee_495a_9066_dc97),
    (JumpOp::Less, Width::W64, 0x7e8b_cd0d_f136_b865, 0x645c_2a96_2be5_6fe4),
    (JumpOp::LessEqual, Width::W32, 0x1df4_2895_007d_1107, 0x0f67_7f9e_fcf8_3770),
    (JumpOp::LessEqual, Width::W64, 0x82fd_ed57_b414_ba65, 0x36ef_e47d_6186_10e2),
    (JumpOp::SignedGreater, Width::W32, 0x8c20_1ab5_5afc_0ac4, 0xbe36_a5cb_c738_8c5f),
    (JumpOp::SignedGreater, Width::W64, 0x8614_e462_e9bb_cb04, 0x0725_da7d_0fca_087c),
    (JumpOp::SignedGreaterEqual, Width::W32, 0x390a_6403_7d4e_41a4, 0x7099_23f3_40f2_f45d),
    (JumpOp::SignedGreaterEqual, Width::W64, 0x8614_e462_e9bb_cb04, 0x17cb_0958_381f_b0e2),
    (JumpOp::SignedLess, Width::W32, 0x0f33_531b_a074_77e4, 0x8946_7814_1dad_3e41),
    (JumpOp::SignedLess, Width::W64, 0x1a28_9ceb_101b_9284, 0x2cb8_9dab_3899_7756),
    (JumpOp::SignedLessEqual, Width::W32, 0x75db_3359_1e84_7f44, 0xd46c_5540_77e2_95cb),
    (JumpOp::SignedLessEqual, Width::W64, 0x1a28_9ceb_101b_9284, 0x0f28_44f2_c340_f388),
    (JumpOp::Set, Width::W32, 0x1c77_6c3e_991d_9586, 0x7b87_466d_3f0d_8ac9),
    (JumpOp::Set, Width::W64, 0x0dc0_1676_0f5f_aac5, 0x9cba_461d_05b6_5a11),
];

/// Digest of `range_within` and `tnum_in`.
const INCLUSION: u64 = 0x790a_00d1_b0e7_8be5;

/// Digest of whether `reg_bounds_sanity_check` complains.
const INVARIANTS: u64 = 0x4d7d_6d0f_c101_e305;
