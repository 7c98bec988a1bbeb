#include "cli/confirm.h"

#include "base/error.h"

#include <unistd.h>

#include <iostream>

namespace kled::cli {

bool confirmed(const std::string& question, const std::string& instead) {
    if (::isatty(STDIN_FILENO) != 1)
        throw Error{ErrorKind::invalid, question + " There is no terminal to ask: " + instead};
    std::cout << question << " [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace kled::cli
