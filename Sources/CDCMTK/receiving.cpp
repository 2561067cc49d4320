#include "arriving.hpp"
#include "association.hpp"
#include "output.hpp"
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmnet/cond.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/dul.h>
#include <stdexcept>

using face::fail;
using face::failNetwork;
using face::guarded;

OFCondition face::nextFragment(cdcmtk_association &self, DUL_PDV &fragment) {
    T_ASC_Association *association = self.association;
    if (DUL_NextPDV(&association->DULassociation, &fragment).good()) return EC_Normal;
    if (!ASC_dataWaiting(association, self.timeout)) return DIMSE_NODATAAVAILABLE;
    const OFCondition result = DUL_ReadPDVs(&association->DULassociation, nullptr, DUL_NOBLOCK, self.timeout);
    if (result == DUL_PDATAPDUARRIVED) return DUL_NextPDV(&association->DULassociation, &fragment);
    return result.bad() || result == DUL_PEERREQUESTEDRELEASE ? result : DIMSE_UNEXPECTEDPDVTYPE;
}

OFCondition face::nextDataSetFragment(cdcmtk_association &self, DUL_PDV &fragment) {
    const OFCondition result = nextFragment(self, fragment);
    if (result.bad()) return result;
    if (result == DUL_PEERREQUESTEDRELEASE || fragment.pdvType != DUL_DATASETPDV || fragment.presentationContextID != self.context)
        return DIMSE_UNEXPECTEDPDVTYPE;
    return EC_Normal;
}

namespace {

/// The preamble and file meta information (PS3.10 7.1) of the instance in hand.
std::vector<char> metaInformation(const cdcmtk_association &self) {
    DcmMetaInfo meta;
    const Uint8 version[] = {0, 1};
    meta.putAndInsertUint8Array(DCM_FileMetaInformationVersion, version, 2);
    meta.putAndInsertString(DCM_MediaStorageSOPClassUID, self.sopClass.c_str());
    meta.putAndInsertString(DCM_MediaStorageSOPInstanceUID, self.sopInstance.c_str());
    meta.putAndInsertString(DCM_TransferSyntaxUID, self.transferSyntaxes.at(self.context).c_str());
    meta.putAndInsertString(DCM_SourceApplicationEntityTitle, self.association->params->DULparams.callingAPTitle);
    face::identify(meta, self.implementationClass.c_str(), self.implementationVersion.c_str());
    std::vector<char> bytes(4096); // seven elements of 64 characters at most
    DcmOutputBufferStream output(bytes.data(), bytes.size());
    meta.transferInit();
    const OFCondition result = meta.write(output, META_HEADER_DEFAULT_TRANSFERSYNTAX, EET_ExplicitLength, nullptr);
    meta.transferEnd();
    if (result.bad()) throw std::runtime_error(result.text());
    bytes.resize(static_cast<size_t>(output.tell()));
    return bytes;
}

/// Hands the next fragment of the data set on. Not by DIMSE_receiveDataSetInFile: that copies once more.
OFCondition readFragment(cdcmtk_association &self) {
    DUL_PDV fragment;
    const OFCondition result = face::nextDataSetFragment(self, fragment);
    if (result.bad()) return result;
    if (fragment.fragmentLength % 2 != 0) return DIMSE_RECEIVEFAILED; // PS3.8 E.1
    self.file->appendDigested(fragment.data, fragment.fragmentLength);
    self.isComplete = fragment.lastPDV;
    return EC_Normal;
}

} // namespace

int cdcmtk_association_begin_file(cdcmtk_association *association, const char *path, const uint8_t **start, size_t *count, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        if (!association->file) association->file = std::make_unique<face::ArrivingFile>();
        face::ArrivingFile &file = *association->file;
        file.begin(path);
        if (path != nullptr) {
            const std::vector<char> meta = metaInformation(*association);
            file.append(meta.data(), meta.size());
        }
        association->isComplete = false;
        while (!association->isComplete && file.beginning().size() < face::ArrivingFile::startSize) {
            const OFCondition result = readFragment(*association);
            if (result.bad()) return file.discard(), failNetwork(error, result), 0;
        }
        *start = file.beginning().data();
        *count = file.beginning().size();
        return 1;
    });
}

int cdcmtk_association_receive_file(cdcmtk_association *association, cdcmtk_received *received, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        face::ArrivingFile &file = *association->file;
        while (!association->isComplete) {
            const OFCondition result = readFragment(*association);
            if (result.bad()) return file.discard(), failNetwork(error, result), 0;
        }
        if (received == nullptr) return 1;
        if (const int failure = file.finish(*received)) return fail(error, CDCMTK_CANNOT_WRITE, "%s", strerror(failure)), 2;
        return 1;
    });
}

void cdcmtk_association_flush_folder(cdcmtk_association *association, const char *path) {
    guarded(nullptr, 0, [&] { association->file->flushFolder(path); return 0; });
}

int cdcmtk_association_await_flush(cdcmtk_association *association) {
    return guarded(nullptr, EIO, [&] { return association->file->awaitFlush(); });
}
