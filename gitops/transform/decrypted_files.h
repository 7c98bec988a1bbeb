/// Files in which those that SOPS has encrypted are plain text: decrypted as they are read, so what
/// refers to them (a resource, a generator's file) needs not know, and nothing is written anywhere.
#pragma once

#include "gitops/transform/sops.h"
#include "kustomize/files.h"

namespace kled::gitops {

/// Refers to both.
class DecryptedFiles : public kustomize::Files {
public:
    DecryptedFiles(const kustomize::Files& files, const SopsKeys& keys)
        : files_{files}, keys_{keys} {}

    [[nodiscard]] std::optional<Entry> find(const std::string& path) const override {
        return files_.find(path);
    }
    [[nodiscard]] std::string read(const std::string& path) const override {
        auto content = files_.read(path);
        auto plain = decrypt_sops(path, content, keys_);
        return plain ? std::move(*plain) : std::move(content);
    }
    [[nodiscard]] std::vector<std::string> list(const std::string& directory) const override {
        return files_.list(directory);
    }
    [[nodiscard]] std::string display(const std::string& path) const override {
        return files_.display(path);
    }

private:
    const kustomize::Files& files_;
    const SopsKeys& keys_;
};

}  // namespace kled::gitops
