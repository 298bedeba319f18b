//! A distinguished name as Kafka spells it in a principal.
//!
//! Kafka's principal of a TLS peer is `User:` and `X500Principal.getName()` of its leaf (DefaultKafkaPrincipalBuilder),
//! compared with `super.users` byte for byte. So this is not RFC 2253 as one may read it but as OpenJDK prints it
//! (`sun.security.x509.AVA.toRFC2253String`): the last part of the name comes first; nine attribute types have a word
//! and all others are `OID=#<DER in hex>`; text of any string type is taken as UTF-8; `\r` counts as a space at both
//! ends, and other control characters stand as they are.

use x509_parser::asn1_rs::Any;
use x509_parser::asn1_rs::Tag;
use x509_parser::asn1_rs::ToDer;
use x509_parser::x509::AttributeTypeAndValue;
use x509_parser::x509::X509Name;

/// The name as `X500Principal.getName()` prints it; empty for an empty name.
pub fn render(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(render_attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn render_attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    match keyword(&oid) {
        Some(word) if is_text(value.tag()) => {
            format!("{word}={}", escape(&String::from_utf8_lossy(value.data)))
        }
        Some(word) => format!("{word}=#{}", hex_of(value)),
        None => format!("{oid}=#{}", hex_of(value)),
    }
}

/// The attribute types that OpenJDK gives a word in RFC 2253 (`AVAKeyword`); `E`, `SERIALNUMBER`, `T` and the rest have
/// one only in its other notations.
fn keyword(oid: &str) -> Option<&'static str> {
    match oid {
        "2.5.4.3" => Some("CN"),
        "2.5.4.6" => Some("C"),
        "2.5.4.7" => Some("L"),
        "2.5.4.8" => Some("ST"),
        "2.5.4.9" => Some("STREET"),
        "2.5.4.10" => Some("O"),
        "2.5.4.11" => Some("OU"),
        "0.9.2342.19200300.100.1.25" => Some("DC"),
        "0.9.2342.19200300.100.1.1" => Some("UID"),
        _ => None,
    }
}

/// The string types of `AVA.isDerString`; a NumericString or a VisibleString is none of them.
fn is_text(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::PrintableString
            | Tag::Utf8String
            | Tag::T61String
            | Tag::Ia5String
            | Tag::GeneralString
            | Tag::BmpString
            | Tag::UniversalString
    )
}

fn escape(text: &str) -> String {
    let is_space = |c: char| c == ' ' || c == '\r';
    let leading = text.chars().take_while(|c| is_space(*c)).count();
    let trailing = text.chars().rev().take_while(|c| is_space(*c)).count();
    let length = text.chars().count();
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        match c {
            '\0' => out.push_str("\\00"),
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => out.extend(['\\', c]),
            _ if index < leading || index + trailing >= length => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

fn hex_of(value: &Any<'_>) -> String {
    // A value that was parsed is written back without fail; an empty text would never match a super user by accident.
    let der = value.to_der_vec().unwrap_or_default();
    der.iter().map(|byte| format!("{byte:02x}")).collect()
}
