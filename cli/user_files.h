/// The files of this machine, in messages by the names that a user gives them.
#pragma once

#include "kustomize/files.h"

#include <string>

namespace kled::cli {

/// Who builds `../other` is told of "../other/a.yaml"; who builds "/srv/other", of
/// "/srv/other/a.yaml".
class UserFiles : public kustomize::DiskFiles {
public:
    /// `directory`: what is built, as it was given.
    explicit UserFiles(const std::string& directory) : absolute_{directory.starts_with('/')} {}

    [[nodiscard]] std::string display(const std::string& path) const override;

private:
    bool absolute_;
};

}  // namespace kled::cli
