//! Linux x86 boot images: the version in the header, and the kernel's ELF file inside.
//!
//! The header is described in the kernel's `Documentation/arch/x86/boot.rst` (fields since protocol 2.08). Nothing here touches
//! files. Start at [`BzImage::parse`].

use std::io::Read;

use object::{Object, ObjectSection};
use thiserror::Error;

/// The most that the kernel inside may unpack to, in bytes.
const MAX_VMLINUX: u64 = 1 << 30;

/// Why bytes are not a usable boot image.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BzImageError {
    /// There is no boot sector with the kernel's header.
    #[error("no Linux boot header (0xaa55 at 0x1fe and \"HdrS\" at 0x202)")]
    NoHeader,
    /// The header is older than the fields that are needed.
    #[error("boot protocol {0}.{1:02} is too old (2.08 is the least)")]
    TooOld(u8, u8),
    /// A header field points outside the file.
    #[error("{field} points outside the file (offset {offset:#x}, {size} bytes in the file)")]
    Outside {
        /// The header's field.
        field: &'static str,
        /// Where it points.
        offset: usize,
        /// How long the file is.
        size: usize,
    },
    /// The payload is packed in a way that cannot be read here.
    #[error("the kernel inside is packed in an unknown way (it begins with {0:02x?})")]
    UnknownCompression(Vec<u8>),
    /// The payload is damaged.
    #[error("cannot unpack the kernel inside ({kind}): {reason}")]
    Unpack {
        /// How it is packed.
        kind: &'static str,
        /// What the unpacker says.
        reason: String,
    },
    /// The kernel inside is not an ELF file with BTF.
    #[error("the kernel inside has no BTF ({0}): it was built without CONFIG_DEBUG_INFO_BTF")]
    NoBtf(String),
}

/// A boot image whose header was read.
#[derive(Debug, Clone, Copy)]
pub struct BzImage<'a> {
    bytes: &'a [u8],
    version: &'a str,
    payload: &'a [u8],
}

impl<'a> BzImage<'a> {
    /// Reads the header of a boot image.
    ///
    /// # Errors
    /// When there is no header, it is too old, or a field points outside `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<BzImage<'a>, BzImageError> {
        let word = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]));
        let long = |at: usize| {
            let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(four)).ok()
        };
        if word(0x1fe) != Some(0xaa55) || bytes.get(0x202..0x206) != Some(b"HdrS") {
            return Err(BzImageError::NoHeader);
        }
        let protocol = word(0x206).ok_or(BzImageError::NoHeader)?;
        if protocol < 0x0208 {
            let [minor, major] = protocol.to_le_bytes();
            return Err(BzImageError::TooOld(major, minor));
        }
        let outside = |field, offset| BzImageError::Outside { field, offset, size: bytes.len() };

        let version_at = usize::from(word(0x20e).ok_or(BzImageError::NoHeader)?) + 0x200;
        let version =
            bytes.get(version_at..).and_then(|rest| rest.get(..rest.iter().take(512).position(|&byte| byte == 0)?));
        let version = version
            .and_then(|text| std::str::from_utf8(text).ok())
            .ok_or_else(|| outside("kernel_version", version_at))?;

        // A boot sector that says 0 set-up sectors means 4, as ever.
        let sectors = match bytes.get(0x1f1) {
            Some(0) | None => 4,
            Some(&count) => usize::from(count),
        };
        let start = long(0x248).and_then(|offset| offset.checked_add((sectors + 1) * 512));
        let start = start.ok_or(BzImageError::NoHeader)?;
        let length = long(0x24c).ok_or(BzImageError::NoHeader)?;
        let payload = start.checked_add(length).and_then(|end| bytes.get(start..end));
        let payload = payload.ok_or_else(|| outside("payload_offset", start))?;
        Ok(BzImage { bytes, version, payload })
    }

    /// The whole version text: release, builder, build number, date.
    #[must_use]
    pub fn version(&self) -> &'a str {
        self.version
    }

    /// The release, which is what `uname -r` says.
    #[must_use]
    pub fn release(&self) -> &'a str {
        self.version.split_whitespace().next().unwrap_or("")
    }

    /// The image itself.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Unpacks the kernel's ELF file (`vmlinux`, without its debug sections).
    ///
    /// # Errors
    /// When the payload is damaged, packed in an unknown way, or larger than 1 GiB unpacked.
    pub fn vmlinux(&self) -> Result<Vec<u8>, BzImageError> {
        match self.payload {
            [0x7f, b'E', b'L', b'F', ..] => Ok(self.payload.to_vec()),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(self.payload)
                    .map_err(|error| BzImageError::Unpack { kind: "zstd", reason: error.to_string() })?;
                unpack("zstd", decoder)
            }
            [0x1f, 0x8b, ..] => unpack("gzip", flate2::read::GzDecoder::new(self.payload)),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => unpack("xz", liblzma::read::XzDecoder::new(self.payload)),
            other => Err(BzImageError::UnknownCompression(other.iter().take(4).copied().collect())),
        }
    }
}

fn unpack(kind: &'static str, packed: impl Read) -> Result<Vec<u8>, BzImageError> {
    let damaged = |reason: String| BzImageError::Unpack { kind, reason };
    let mut unpacked = Vec::new();
    packed.take(MAX_VMLINUX + 1).read_to_end(&mut unpacked).map_err(|error| damaged(error.to_string()))?;
    if unpacked.len() as u64 > MAX_VMLINUX {
        return Err(damaged(format!("more than {MAX_VMLINUX} bytes")));
    }
    Ok(unpacked)
}

/// The `.BTF` section of a kernel's ELF file.
///
/// # Errors
/// When `vmlinux` is no ELF file, or has no such section.
pub fn btf_of(vmlinux: &[u8]) -> Result<Vec<u8>, BzImageError> {
    let no_btf = |reason: &str| BzImageError::NoBtf(reason.to_owned());
    let file = object::File::parse(vmlinux).map_err(|error| no_btf(&error.to_string()))?;
    let section = file.section_by_name(".BTF").ok_or_else(|| no_btf("no section .BTF"))?;
    let data = section.data().map_err(|error| no_btf(&error.to_string()))?;
    Ok(data.to_vec())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A boot image with this payload and nothing else in it.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; 1024];
        bytes[0x1f1] = 1;
        bytes[0x1fe..0x200].copy_from_slice(&0xaa55u16.to_le_bytes());
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x206..0x208].copy_from_slice(&0x020fu16.to_le_bytes());
        bytes[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
        bytes[0x300..0x310].copy_from_slice(b"6.12.1-x (me) #1");
        let length = u32::try_from(payload.len()).expect("a small payload");
        bytes[0x24c..0x250].copy_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn error_of(bytes: &[u8]) -> BzImageError {
        match BzImage::parse(bytes) {
            Ok(image) => image.vmlinux().expect_err("a damaged image"),
            Err(error) => error,
        }
    }

    #[test]
    fn the_release_is_the_first_word_of_the_version() {
        let bytes = image(b"\x7fELF");
        let image = BzImage::parse(&bytes).expect("a good header");
        assert_eq!(image.version(), "6.12.1-x (me) #1");
        assert_eq!(image.release(), "6.12.1-x");
        assert_eq!(image.vmlinux().expect("an unpacked kernel"), b"\x7fELF");
    }

    #[test]
    fn a_gzip_payload_is_unpacked_without_the_size_that_follows_it() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"kernel").expect("writing to memory");
        let mut payload = encoder.finish().expect("writing to memory");
        payload.extend_from_slice(&6u32.to_le_bytes());
        let bytes = image(&payload);
        let unpacked = BzImage::parse(&bytes).expect("a good header").vmlinux();
        assert_eq!(unpacked.as_deref(), Ok(&b"kernel"[..]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(error_of(b""), BzImageError::NoHeader);
        assert_eq!(error_of(&[0; 4096]), BzImageError::NoHeader);
        let mut old = image(b"\x7fELF");
        old[0x206..0x208].copy_from_slice(&0x0204u16.to_le_bytes());
        assert_eq!(error_of(&old), BzImageError::TooOld(2, 4));
        assert_eq!(error_of(&image(b"BZh9")), BzImageError::UnknownCompression(b"BZh9".to_vec()));
        let mut outside = image(b"\x7fELF");
        outside[0x248..0x24c].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(error_of(&outside), BzImageError::Outside { field: "payload_offset", .. }));
        assert!(matches!(error_of(&image(b"\x28\xb5\x2f\xfdjunk")), BzImageError::Unpack { kind: "zstd", .. }));
        assert!(matches!(error_of(&image(b"\xfd7zXZ\0junk")), BzImageError::Unpack { kind: "xz", .. }));
        assert!(matches!(btf_of(b"\x7fELF"), Err(BzImageError::NoBtf(_))));
    }

    #[test]
    fn every_truncation_is_refused_or_read_without_panic() {
        let bytes = image(b"\x28\xb5\x2f\xfdjunk");
        for length in 0..bytes.len() {
            let _ = error_of(&bytes[..length]);
        }
    }
}
