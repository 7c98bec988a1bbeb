/// Flags of the commands that ask something of one deployment object.
#pragma once

#include "cli/command.h"
#include "kube/object.h"

#include <functional>
#include <string>

namespace kled::cli {

/// Which object, and for how long what kledd makes of it is waited for.
struct ObjectFlags {
    std::string name;  ///< NAME or KIND/NAME
    std::string ns;    ///< empty: of any
    std::string timeout = "2m";
};

/// Has `verb` complete the names of the objects that are `wanted`, of all namespaces.
void complete_with_objects(CLI::App& verb, const Globals& globals,
                           std::function<bool(const kube::Object&)> wanted);
/// The name, which is required and completed with those that are `wanted`, and `-n`. `what` it is:
/// "NAME of a Pipeline, or KIND/NAME".
void add_object_flags(CLI::App& verb, const Globals& globals, ObjectFlags& flags,
                      const std::string& what, std::function<bool(const kube::Object&)> wanted);
void add_namespace_flag(CLI::App& verb, std::string& ns);
void add_yes_flag(CLI::App& verb, bool& yes);
void add_timeout_flag(CLI::App& verb, std::string& timeout);

}  // namespace kled::cli
