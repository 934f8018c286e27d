// The checks named on the command line; the instruction set of the parallel ones is LEAKY_ISA's. Ends with the names of
// those that this CPU has.

#include <cstdlib>
#include <string>

#include "harness.h"

int main(int count, char** names) {
    const char* cap = std::getenv("LEAKY_ISA");
    leaky::configure(cap ? cap : "");
    for (int i = 1; i < count; ++i) {
        const std::string name = names[i];
        if (name == "values") harness::check_values();
        else if (name == "pairs") harness::check_pairs();
        else if (name == "layouts") harness::check_layouts();
        else if (name == "statistics") harness::check_statistics();
        else if (name == "parallel") harness::check_parallel();
        else harness::fail("no check is called %s", names[i]);
    }
    const int failures = harness::failures;
    std::printf("%d failures, with", failures);
    for (const leaky::InstructionSet& set : harness::supported()) std::printf(" %s", set.name);
    std::printf("\n");
    return failures != 0;
}
