// Shares an array and prints its handle; or, given a handle, attaches and sums.
//
//     consumer            share 1 2 3 4, print the handle, wait for a line on standard input
//     consumer HANDLE     attach to it and print the sum
#include <iostream>
#include <numeric>
#include <vector>

#include <onecopy/onecopy.hpp>

int main(int argc, char** argv) {
  try {
    if (argc > 1) {
      const auto numbers = onecopy::attach<onecopy::array<double>>(argv[1]);
      std::cout << std::accumulate(numbers.begin(), numbers.end(), 0.0) << '\n';
      return 0;
    }
    const std::vector<double> numbers{1, 2, 3, 4};
    const auto shared = onecopy::share(std::span<const double>{numbers});
    std::cout << shared.handle().text() << std::endl;
    std::string line;
    std::getline(std::cin, line);  // `shared` keeps the object while we wait
    return 0;
  } catch (const onecopy::error& problem) {
    std::cerr << "consumer: " << problem.what() << '\n';
    return 1;
  }
}
