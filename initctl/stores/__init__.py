"""Checkpoints in object stores, read by ranges: URLs are mirrored as files whose content is fetched when it is read.

url.py          URLs of stores, without credentials
store.py        what a store can do, and which one a URL names
places.py       paths that mirror what is in a store, or will be there
output.py       where a result is written
mirror.py       a directory of files that are still in the store
descriptors.py  descriptors of such files, which fetch what is read
per_process.py  what each process makes for itself: connections
requests.py     several requests at the same time
refusals.py     what a store refuses, in the same words for S3 and Google Cloud Storage
upload_parts.py how a new object is cut into the parts of its upload
s3.py           Amazon S3, and stores that speak its protocol
s3_api.py       what boto3 says, as this package says it
s3_upload.py    new objects in S3, which are visible as a whole or not at all
gs.py           Google Cloud Storage
gs_api.py       its JSON API
gs_upload.py    new objects there, which are visible as a whole or not at all
hf.py           repositories of the Hugging Face Hub, at one commit
hf_api.py       what huggingface_hub says, as this package says it
hf_commit.py    new commits there, which have all files or do not exist
"""
