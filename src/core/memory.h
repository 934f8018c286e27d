// Memory that others have allocated for us to fill.

#pragma once

#include <cstddef>

namespace leaky {

// Asks the system to back this memory, if it has not been touched yet, by huge pages: far fewer faults on first touch.
// Only pages that lie wholly within it are meant, so it takes no more memory. Where there are none, it does nothing.
void advise_huge_pages(void* memory, std::size_t bytes);

}  // namespace leaky
