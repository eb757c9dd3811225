// Which airlines are late? One pass over two columns of the table that R shared.
#include <cmath>
#include <iostream>
#include <map>
#include <string>

#include <onecopy/onecopy.hpp>

#include "worker.hpp"

int main() try {
  worker::report report;
  const onecopy::value flights = report.attaching([] { return onecopy::attach_name("flights"); });

  const auto delays = flights["arr_delay"].as<double>();
  const onecopy::value carriers = flights["carrier"];

  struct total {
    double minutes = 0, flights = 0;
  };
  std::map<std::string_view, total> by_carrier;  // the views point into the shared table
  double worst = -INFINITY;
  for (std::size_t i = 0; i < delays.size(); ++i) {
    if (std::isnan(delays[i])) continue;
    auto& sum = by_carrier[carriers.string(i)];
    sum.minutes += delays[i];
    sum.flights += 1;
    worst = std::max(worst, delays[i]);
  }

  double cancelled = 0;
  for (const auto minute : flights["dep_time"].as<std::int32_t>()) cancelled += minute == INT32_MIN;  // R's NA

  for (const auto& [carrier, sum] : by_carrier)
    report.answer("delay by carrier", std::string(carrier), sum.minutes / sum.flights);
  report.answer("extremes", "worst", worst);
  report.answer("extremes", "cancelled", cancelled);
  report.finish();
  std::cout << "  the latest flight was " << worst / 60 << " hours late; " << static_cast<long>(cancelled)
            << " never left\n";
} catch (const onecopy::error& problem) {
  std::cerr << "carriers: " << problem.what() << '\n';
  return 1;
}
