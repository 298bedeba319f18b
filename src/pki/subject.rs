//! A distinguished name as Kafka spells it in a principal.
//!
//! Kafka's principal of a TLS peer is `User:` and `X500Principal.getName()` of its leaf (DefaultKafkaPrincipalBuilder),
//! compared with `super.users` byte for byte. So this is not RFC 2253 as one may read it but as OpenJDK prints it
//! (`sun.security.x509.AVA.toRFC2253String`): the last part of the name comes first; nine attribute types have a word
//! and all others are `OID=#<DER in hex>`; text of nearly any string type is taken as UTF-8; `\r` counts as a space at both
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

/// The string types of `AVA.isDerString`; a NumericString, a VisibleString or a UniversalString is none of
/// them.
fn is_text(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::PrintableString
            | Tag::Utf8String
            | Tag::T61String
            | Tag::Ia5String
            | Tag::GeneralString
            | Tag::BmpString
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

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer;

    use super::*;
    use crate::pki::testing;

    fn check(name: &str, want: &str) {
        let der = testing::unhex(name);
        let (rest, name) = X509Name::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(render(&name), want);
    }

    // The right-hand sides were printed by OpenJDK 17.0.15 as `new X500Principal(der).getName()`; beyond these, 60,000
    // random names of all string types, control characters and several attributes in a part came out the same, but for
    // the number of U+FFFD that stand for bytes that are no UTF-8 (which no super user is called by).
    #[test]
    fn a_name_is_printed_as_java_prints_it() {
        check("3000", "");
        check("30143112301006035504030c0964656d6f2d6e6f6465", "CN=demo-node");
        check(
            "303c310b3009060355040613024445310d300b060355040a0c0461636d65310e300c060355040b0c056b61666b61310e300c06035504030c056e6f646531",
            "CN=node1,OU=kafka,O=acme,C=DE",
        );
        check(
            "30819c31133011060a0992268993f22c6401191603636f6d31143012060a0992268993f22c640119160461636d65310b3009060355040613024445310b300906035504080c024245310f300d06035504070c064265726c696e310c300a06035504090c03782031310a3008060355040a0c016f310a3008060355040b0c017531123010060a0992268993f22c6401010c026964310a300806035504030c016e",
            "CN=n,UID=id,OU=u,O=o,STREET=x 1,L=Berlin,ST=BE,C=DE,DC=acme,DC=com",
        );
        check(
            "303d3114301206092a864886f70d01090116056140622e63310b3009060355040513023137310c300a06035504040c03537572310a300806035504030c016e",
            "CN=n,2.5.4.4=#0c03537572,2.5.4.5=#13023137,1.2.840.113549.1.9.1=#16056140622e63",
        );
        check("30223114300806035504030c01623008060355040b0c0161310a3008060355040a0c017a", "O=z,CN=b+OU=a");
        check(
            "3020311e301c06035504030c15612c623d632b643c653e6623673b6822695c6a2f6b",
            "CN=a\\,b\\=c\\+d\\<e\\>f\\#g\\;h\\\"i\\\\j/k",
        );
        check("300d310b300906035504030c022331", "CN=\\#1");
        check("30133111300f06035504030c082020612020622020", "CN=\\ \\ a  b\\ \\ ");
        check("300e310c300a060355040a0c03202020", "O=\\ \\ \\ ");
        check("30123110300e06035504030c070d0a0978090a0d", "CN=\\\r\n\tx\t\n\\\r");
        check("3011310f300d06035504030c0661006201637f", "CN=a\\00b\u{1}c\u{7f}");
        check(
            "3028311a3018060355040a0c114bc3a4736520e697a5e69cac20f09f9880310a300806035504030c016e",
            "CN=n,O=Käse 日本 😀",
        );
        check("301e310e300c060355040a13054120284229310c300a06035504031603784079", "CN=x@y,O=A (B)");
        check("300f310d300b060355040314044be47365", "CN=K�se");
        check("300f310d300b06035504031e0400610062", "CN=\\00a\\00b");
        check(
            "301c310d300b06035504031c0400000061310b3009060355040b12023132",
            "OU=#12023132,CN=#1c0400000061",
        );
        check("300d310b3009060355040304020102", "CN=#04020102");
        check("30173109300706035504030c00310a3008060355040a0c016f", "O=o,CN=");
    }
}
