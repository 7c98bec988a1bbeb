#include "gitops/transform/sops.h"

#include "base/error.h"
#include "base/file.h"
#include "gitops/transform/decrypted_files.h"
#include "kube/yaml.h"

#include <gtest/gtest.h>

namespace kled::gitops {
namespace {

// testdata/sops/make.sh made them with sops 3.13.
std::string file(const std::string& name) {
    return read_file(KLED_SOURCE_DIR "/gitops/transform/testdata/sops/" + name);
}

SopsKeys keys() {
    SopsKeys result;
    result.add_age(file("key.agekey"));
    return result;
}

std::string decrypted(const std::string& name) {
    auto plain = decrypt_sops(name, file(name), keys());
    return plain ? *plain : "not encrypted";
}

std::string failure(const std::string& path, const std::string& content, const SopsKeys& with) {
    try {
        const auto plain = decrypt_sops(path, content, with);
        return plain ? "decrypted" : "not encrypted";
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(Sops, DecryptsEveryValueWithItsType) {
    const auto objects = kube::load_manifest(decrypted("all.yaml"));
    ASSERT_EQ(objects.size(), 2U);
    EXPECT_EQ(kube::json::value(objects[0].object.fields()), kube::parse_json(R"(
        {"apiVersion":"v1","kind":"Secret","metadata":{"name":"login"},
         "stringData":{"password":"hunter2","pin":"0042","empty":"","lines":"one\ntwo\n"}})"));
    EXPECT_EQ(*kube::find(objects[1].object.fields(), {"data"}), kube::parse_json(R"(
        {"count":42,"ratio":1.5,"whole":3,"on":true,"nothing":null,"list":["a",{"b":1}],
         "note_unencrypted":"seen by all"})"));
}

TEST(Sops, FollowsTheRulesOfWhatIsEncrypted) {
    for (const auto* name : {"regex.yaml", "mac-only.yaml"}) {
        const auto objects = kube::load_manifest(decrypted(name));
        ASSERT_EQ(objects.size(), 2U);
        EXPECT_EQ(kube::find_string(objects[0].object.fields(), {"stringData", "password"}),
                  "hunter2");
        EXPECT_EQ(*kube::find(objects[1].object.fields(), {"data", "count"}), 42);
        EXPECT_EQ(objects[0].object.fields().if_contains("sops"), nullptr);
    }
}

TEST(Sops, DecryptsJsonDotenvAndAnyFile) {
    EXPECT_EQ(decrypted("some.json"), R"({"z":"last","a":{"b":[1,2.5,false,"x"],"c_plain":"seen"}})"
                                      "\n");
    EXPECT_EQ(decrypted("some.env"), "USER=admin\nPASSWORD=a=b\\nc\nEMPTY=\n");
    EXPECT_EQ(decrypted("some.txt"), "any\nfile\n");
}

TEST(Sops, LeavesWhatItDidNotEncrypt) {
    EXPECT_EQ(failure("a.yaml", "a: 1\n", keys()), "not encrypted");
    EXPECT_EQ(failure("a.yaml", "a: 'ENC[AES256_GCM,data:'\n", keys()), "not encrypted");
    EXPECT_EQ(failure("a.txt", "ENC[AES256_GCM,data:\n", keys()), "not encrypted");
    const auto all = file("all.yaml");
    auto off = all;
    off.replace(off.find("metadata:\n"), 10,
                "metadata:\n    annotations: {kustomize.toolkit.fluxcd.io/decrypt: Disabled}\n");
    EXPECT_NE(failure("all.yaml", off, keys()), "decrypted") << "the file as a whole has one MAC";
}

TEST(Sops, RefusesWhatWasAltered) {
    const auto regex = file("regex.yaml");
    auto renamed = regex;
    renamed.replace(renamed.find("name: login"), 11, "name: other");
    EXPECT_EQ(failure("regex.yaml", renamed, keys()),
              "regex.yaml: SOPS: its MAC does not match: something in it was changed without SOPS");
    auto moved = regex;
    moved.replace(moved.find("    password:"), 13, "    passw0rd:");
    EXPECT_EQ(failure("regex.yaml", moved, keys()),
              "regex.yaml: SOPS: /stringData/passw0rd: a value cannot be decrypted: it was altered "
              "or moved after SOPS wrote it");
    auto plain = regex;
    const auto begin = plain.find("ENC[", plain.find("password:"));
    plain.replace(begin, plain.find('\n', begin) - begin, "hunter3");
    EXPECT_EQ(failure("regex.yaml", plain, keys()),
              "regex.yaml: SOPS: /stringData/password: a value is not encrypted, or not as SOPS "
              "does");
}

TEST(Sops, DecryptsWithPgpKeys) {
    SopsKeys pgp;
    pgp.add_pgp(file("key.asc"));
    const auto plain = decrypt_sops("pgp.yaml", file("pgp.yaml"), pgp);
    ASSERT_TRUE(plain);
    const auto objects = kube::load_manifest(*plain);
    EXPECT_EQ(kube::find_string(objects.at(0).object.fields(), {"stringData", "password"}),
              "hunter2");
    EXPECT_EQ(decrypt_sops("pgp.env", file("pgp.env"), pgp),
              "USER=admin\nPASSWORD=a=b\\nc\nEMPTY=\n");

    EXPECT_EQ(failure("pgp.yaml", file("pgp.yaml"), keys()),
              "pgp.yaml: SOPS: none of the keys of spec.decryption.secretRef decrypts it");
    EXPECT_EQ(failure("all.yaml", file("all.yaml"), pgp),
              "all.yaml: SOPS: none of the keys of spec.decryption.secretRef decrypts it");
    EXPECT_THROW(pgp.add_pgp("not a key"), Error);
}

TEST(Sops, SaysWhichKeyIsMissing) {
    EXPECT_EQ(
        failure("all.yaml", file("all.yaml"), {}),
        "all.yaml: SOPS: it is encrypted, and spec.decryption.secretRef has no age or PGP key");
    SopsKeys other;
    other.add_age(std::string{"# another\n"} +
                  std::string{crypto::Identity::generate().text().reveal()} + "\n");
    EXPECT_EQ(failure("all.yaml", file("all.yaml"), other),
              "all.yaml: SOPS: none of the keys of spec.decryption.secretRef decrypts it");
    EXPECT_THROW(other.add_age("not a key"), Error);
    const std::string foreign =
        "a: ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]\nsops: {mac: x, ";
    EXPECT_EQ(failure("a.yaml", foreign + "kms: [{arn: x}], hc_vault: [{}]}\n", keys()),
              "a.yaml: SOPS: it is encrypted for AWS KMS, Vault alone; kled decrypts with age and "
              "PGP keys");
    EXPECT_EQ(failure("a.yaml", foreign + "key_groups: [{}]}\n", keys()),
              "a.yaml: SOPS: its key is shared between key groups, which is not supported");
    EXPECT_EQ(failure("comment-rule.yaml", file("comment-rule.yaml"), keys()),
              "comment-rule.yaml: SOPS: unencrypted_comment_regex is not supported");
}

TEST(Sops, IsPlainTextForWhoeverReadsTheFile) {
    const kustomize::MemoryFiles files{{{"a/some.env", file("some.env")}, {"a/b.yaml", "b: 1\n"}}};
    const auto with = keys();
    const DecryptedFiles plain{files, with};
    EXPECT_EQ(plain.read("a/some.env"), "USER=admin\nPASSWORD=a=b\\nc\nEMPTY=\n");
    EXPECT_EQ(plain.read("a/b.yaml"), "b: 1\n");
    EXPECT_EQ(plain.list("a").size(), 2U);
}

}  // namespace
}  // namespace kled::gitops
