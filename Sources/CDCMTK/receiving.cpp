#include "association.hpp"
#include "output.hpp"
#include <cstring>
#include <dcmtk/dcmnet/cond.h>
#include <dcmtk/dcmnet/diutil.h>
#include <dcmtk/dcmnet/dul.h>

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

static void writeMeta(const cdcmtk_association &self, DcmOutputStream &output) {
    DcmMetaInfo meta;
    const Uint8 version[] = {0, 1};
    meta.putAndInsertUint8Array(DCM_FileMetaInformationVersion, version, 2);
    meta.putAndInsertString(DCM_MediaStorageSOPClassUID, self.sopClass.c_str());
    meta.putAndInsertString(DCM_MediaStorageSOPInstanceUID, self.sopInstance.c_str());
    meta.putAndInsertString(DCM_TransferSyntaxUID, self.transferSyntaxes.at(self.context).c_str());
    meta.putAndInsertString(DCM_SourceApplicationEntityTitle, self.association->params->DULparams.callingAPTitle);
    face::identify(meta, self.implementationClass.c_str(), self.implementationVersion.c_str());
    meta.transferInit();
    meta.write(output, META_HEADER_DEFAULT_TRANSFERSYNTAX, EET_ExplicitLength, nullptr);
    meta.transferEnd();
}

int cdcmtk_association_receive_file(cdcmtk_association *association, const char *path, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        face::FileConsumer file(path, O_EXCL);
        face::FileOutput output(file);
        if (path != nullptr) writeMeta(*association, output);
        T_ASC_PresentationContextID context = 0;
        const OFCondition result = DIMSE_receiveDataSetInFile(association->association, DIMSE_NONBLOCKING, association->timeout, &context,
                                                              &output, nullptr, nullptr);
        if (result.bad()) return failNetwork(error, result), 0;
        if (context != association->context) return fail(error, CDCMTK_PROTOCOL, "command and data set came in different presentation contexts"), 0;
        if (path == nullptr) return 1;
        if (const int failure = file.finish(true)) return fail(error, CDCMTK_CANNOT_WRITE, "%s", strerror(failure)), 2;
        return 1;
    });
}
