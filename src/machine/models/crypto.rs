//! Ciphers: making, acquiring and releasing their contexts (`kernel/bpf/crypto.c`, `crypto/bpf_crypto_skcipher.c`,
//! Linux 6.12). What they do to bytes is not modelled.

use crate::btf::TypeId;
use crate::machine::fault::{FaultKind, Trap};
use crate::machine::kernel_struct::UNKNOWN_SIZE;
use crate::machine::maps::errno;
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, kfunc};

pub(super) static MODELS: &[Model] = &[
    kfunc("bpf_crypto_ctx_create", 3, create).sleeping(),
    kfunc("bpf_crypto_ctx_acquire", 1, acquire),
    kfunc("bpf_crypto_ctx_release", 1, release),
];

const NAME: &str = "bpf_crypto_ctx";
/// Bytes of `struct bpf_crypto_params`.
const PARAMETERS: u64 = 408;
/// The one type of ciphers that there is.
const TYPE: &[u8] = b"skcipher";
/// Where the parameters have their parts.
const RESERVED: std::ops::Range<usize> = 14..16;
const ALGORITHM: std::ops::Range<usize> = 16..144;
const KEY_LENGTH: usize = 400;
const TAG_LENGTH: usize = 404;
/// Bytes of the longest key that there is room for.
const LONGEST_KEY: u32 = 256;
/// A cipher that every kernel has which has any, and the bytes that its keys may have.
const AES: (&[u8], [u32; 3]) = (b"ecb(aes)", [16, 24, 32]);

/// A string up to its zero.
fn string(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Why there is no context with these parameters, as a negative error number; 0 if there is one.
fn refusal(parameters: &[u8]) -> Result<i64, Box<Trap>> {
    let part = |range: std::ops::Range<usize>| parameters.get(range).unwrap_or_default();
    let number = |at: usize| part(at..at + 4).first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if parameters.len() as u64 != PARAMETERS || part(RESERVED) != [0; 2] {
        return Ok(errno::EINVAL);
    }
    if string(part(0..RESERVED.start)) != TYPE {
        return Ok(errno::ENOENT);
    }
    let algorithm = string(part(ALGORITHM));
    if algorithm.is_empty() {
        return Ok(errno::EOPNOTSUPP);
    }
    if algorithm != AES.0 {
        return Err(Trap::unsupported(format!("the cipher {}", String::from_utf8_lossy(algorithm))));
    }
    Ok(match number(KEY_LENGTH) {
        // Its kind has no tags.
        _ if number(TAG_LENGTH) != 0 => errno::EOPNOTSUPP,
        0 => errno::EINVAL,
        length if length > LONGEST_KEY || !AES.1.contains(&length) => errno::EINVAL,
        _ => 0,
    })
}

fn create(call: &mut Call<'_>) -> Modelled {
    let [parameters, _, error, ..] = call.args;
    let size = call.arg32(1);
    let parameters = call.read(parameters, size.into())?;
    let refused = refusal(&parameters)?;
    call.write(error, &(refused as i32).to_le_bytes())?;
    if refused != 0 {
        return Ok(Answer::Value(0));
    }
    let btf = call.machine.kernel_types();
    let type_id = btf.and_then(|btf| btf.find_struct(NAME)).unwrap_or(TypeId::VOID);
    let size = btf.and_then(|btf| btf.size_of(type_id)).unwrap_or(UNKNOWN_SIZE);
    let kind = RegionKind::KernelObject { name: NAME.into(), type_id };
    let region = call.machine.allocate(kind, size, Contents::Sparse, call.at)?;
    call.acquire(region);
    Ok(Answer::Value(call.machine.memory.base(region)))
}

fn wanted(call: &Call<'_>) -> Result<RegionId, Box<Trap>> {
    let region = call.start(call.args[0])?;
    if call.kernel_struct(region) == Some(NAME) {
        return Ok(region);
    }
    let what = format!("this is no struct {NAME}");
    Err(Trap::about(FaultKind::BadArgument { callee: call.name, what }, region))
}

fn acquire(call: &mut Call<'_>) -> Modelled {
    let region = wanted(call)?;
    call.acquire(region);
    Ok(Answer::Value(call.args[0]))
}

fn release(call: &mut Call<'_>) -> Modelled {
    let region = wanted(call)?;
    call.machine.release(region, call.holder(), call.at)?;
    Ok(Answer::Nothing)
}
