// An A-ASSOCIATE-RQ, looked over before DCMTK parses it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace request {

/// Whether every item of the PDU (with its header) lies whole within the item around it, and is as long as its kind demands
/// (PS3.8 9.3.2 and annex D, PS3.7 annex D.3.3).
///
/// DCMTK 3.6.7 keeps parts of a request for ever when it finds only later that an item lies.
bool isWhole(const uint8_t *pdu, size_t length);

} // namespace request
