/// For tests: an RSA key of 2048 bits that guards nothing.
#pragma once

namespace kled::crypto::testing {

inline constexpr auto rsa_key =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAqfDW0juCDN+B96ZHNNJiq1HUFTrc9+Mpk3sBrJ77XH1KJWlu\n"
    "4Fc4uA1HxyGtL/40UyrYi9wEGG9DJcgOL3KITbPCo44g/LpkDvRFWoxiYi0sEVWC\n"
    "ah2OGgpvY41BR5qdcxpCNXEZQJWsiwkZhRloyrT6QWAL00ObODlh3LwchDKXOFMs\n"
    "ead4I1G6Qv3x2EyGTQSgpoJy93Rw1j8aVwFM3s6ogFSUUmQrRtaN4r8chQZjN+ZD\n"
    "BYvVbTa46V6TeHWJ7d5VPk7BByof81xy+2CaO0URGGimGOa0wBvIE1B4DodPOFzQ\n"
    "ex/NI16vWMvoN24o3ujO+vjpRcDHAWjIU9lJrQIDAQABAoIBAACpqV4ksG87lZPr\n"
    "6ytWpl8GgMDRcTL/84r5R+p5Vz/HLE7E4Gi8Zlf6E0grRok2oP5xtGpSjMCJ+eAl\n"
    "QtWRXoc2YYFbnfTRBvAI/gE/pWg+cVrNniaAStbT/hcMYg9frWgEF53XklKOaDUa\n"
    "72V1vH3NOAxLuILAfik5Y2Xl5Og+EaIbFKVmr/ByRHem9IciktEHuaWTeFHWR0nb\n"
    "npCnogEFpu4nwnoosiPzZUbRHBQ124jAbZ2tNzgzmXq1P5wWqzNVPoU9FyctLwLt\n"
    "vF3ADIDNC8lfSjrBmc5v86PGNmOq+eqM15/ZvMpBnYVon7W1pXnnTT5loX6icbuz\n"
    "zduTDckCgYEA4vlxh0I3qYoCuhrV26gc6emzE2H5foOqfQYHgDiBn1HDV7JSVcz5\n"
    "KZRBY2yktfEvl0BXMJodQoDvQJcfSNHZ+bz5RHNmOA+1IWnK3RN7tubLbRHN/x0q\n"
    "911q0CLkBz/MpFtTevqKQn0bgpF+9y89L5rjnzG5w7jbStK7VOVWzQUCgYEAv6xD\n"
    "IrBiMcsZf/H6qoGM5Pxb+aSTE1y8jhhCh7tOWwL/LUXY4LMnGMFSFEvQjSdPKi2E\n"
    "hUBybx0015XhJ2xRUevWcDcOid4pma12lIA6G1JBdjMZlylPgD91i3QJHYqrZE42\n"
    "UOKhwRPeZm6C09FUQxYAMqzox/dMHiHz7BUz6okCgYBLzD2ri+OGzL4IZHnStxug\n"
    "yhixemCVbWb8BY1vtm8jQ2zW1ohEewUia45Co7+FuxvHiQcVBgKLeP9tNIqQCPSg\n"
    "QAmGYHtccXJtzCShG6aO+BgrPmzqq1Tz8tB+3YgFG7s9j/oa8ZxGg/0x52DdL3th\n"
    "cHpfaX297Pfezu0cdtI7+QKBgQC8FxdqmxxBMMU9QQBzAd55dwvq1w1dGswNxNDE\n"
    "0ZH6zd4LV1eUaTocmNkrAZsOaVzOTwyUlsG1ODv6syHXxfunIH+2btDdih3YqNiM\n"
    "sahT10xV6Z9bLzbM63k1+BBZ5RJ7xCSZC00gY5cDfb70jZ7almRrVjK4yHzxtO/g\n"
    "5I2lwQKBgD4gfLbDyD3FOswVzsCjKHjOybZf4+9OPivqnpJ6GfRIPre6kOJbDqkh\n"
    "2v7Xj+e8MR48IdRtY+veoXWlYxZhN7ix8IAHWc4Z+ndzQFe7kkOvJ41O5oK6e8lG\n"
    "IlvPtWdd9vS09fCXDoIK3BNhhUsVrhEQ69bK+5cT4ILAt7OKnfip\n"
    "-----END RSA PRIVATE KEY-----\n";

}  // namespace kled::crypto::testing
